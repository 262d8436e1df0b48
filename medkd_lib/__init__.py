"""medkd: knowledge distillation in medical imaging, taught and reproduced."""

__version__ = "0.1.0"
