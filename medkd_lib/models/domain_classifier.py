"""Who tells from pooled features which dataset an image is from."""

from torch import Tensor, nn


class DomainClassifier(nn.Module):
    r"""Mean over positions, one hidden layer, a logit per domain.

    $$z = W_2\,\mathrm{ReLU}(W_1\bar x + b_1) + b_2$$

    Its loss is cross-entropy. An encoder is made invariant through the gradient of this loss,
    turned round between the two (`reverse_gradient`); the classifier itself knows nothing of that.
    Features are not normalised first: their scale may tell a domain too, and an encoder that is to
    hide it should hear of it.

    Args:
        features: width of the vectors or channels of the maps.
        domains: number of them, two or more; with two, the difference of the logits is the one
            logit of the paper.
        hidden: width of the hidden layer.

    Shapes:
        input ``(N, features)``, or maps ``(N, features, …)`` of any size and dimension, averaged
        first; output logits ``(N, domains)``.

    Raises:
        ValueError: fewer than two domains, or features of another width.

    Source: Ganin et al. 2016 (JMLR 17(59)), section 4; one hidden layer of 100 for its smallest
    network. Which one the joint-teacher paper (arXiv 2605.01563) has, and where, is unknown to us.
    """

    def __init__(self, features: int, domains: int, hidden: int = 64) -> None:
        super().__init__()
        if domains < 2:
            raise ValueError(f"domains: expected two or more to tell apart, found {domains}")
        self.features = features
        self.layers = nn.Sequential(
            nn.Linear(features, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, domains)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return the logits."""
        if features.ndim < 2 or features.shape[1] != self.features:
            raise ValueError(
                f"features: expected (N, {self.features}) or (N, {self.features}, …), found "
                f"{tuple(features.shape)}"
            )
        return self.layers(pooled(features))


def pooled(features: Tensor) -> Tensor:
    """Return the mean over positions, ``(N, C)``, of maps ``(N, C, …)``; vectors stay."""
    return features.flatten(2).mean(dim=2) if features.ndim > 2 else features
