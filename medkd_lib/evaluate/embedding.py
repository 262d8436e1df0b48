"""Features in two dimensions, several ways: no single one of them is the truth."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.preprocessing import StandardScaler
from torch import Tensor

PERPLEXITIES = (5.0, 15.0, 40.0)


def embeddings(
    features: Tensor, *, perplexities: Sequence[float] = PERPLEXITIES, seed: int = 0
) -> dict[str, NDArray[np.float64]]:
    """Return plane pictures of feature vectors: two principal components, then t-SNE.

    Channels are brought to mean 0 and standard deviation 1 first, as `linear_probe` does. t-SNE
    keeps who is near whom; sizes of clusters and the distances between them mean nothing, and what
    is one cluster at one perplexity may be five at another. So there are several, from one seed,
    and beside them a projection that is linear.

    Args:
        features: ``(N, D)``, no unit.
        perplexities: of t-SNE, about how many neighbours count; below N.
        seed: of its start.

    Returns:
        title → ``(N, 2)``.

    Raises:
        ValueError: a perplexity that N points cannot have.
    """
    if not perplexities or not 0 < max(perplexities) < len(features):
        raise ValueError(
            f"perplexities: expected numbers below {len(features)}, the number of points, found "
            f"{tuple(perplexities)}"
        )
    scaled = StandardScaler().fit_transform(features.detach().double().cpu().numpy())
    found = {"PCA": PCA(2, random_state=seed).fit_transform(scaled)}
    for perplexity in perplexities:
        tsne = TSNE(2, perplexity=perplexity, init="pca", random_state=seed)
        found[f"t-SNE, perplexity {perplexity:g}"] = tsne.fit_transform(scaled)
    return {name: np.asarray(points, np.float64) for name, points in found.items()}
