"""Entry points for `torch.hub.load`: the model, and the predictor in pixels."""

dependencies = ["torch", "numpy", "einops", "safetensors"]

from fpt_ros import Predictor  # noqa: E402
from fpt_ros.model import FlowPokeTransformer, load_checkpoint  # noqa: E402

RELEASED = "hub:CompVis/flow-poke-transformer/flow_poke_open_set_base.pt"


def fpt(
    checkpoint: str = "embedded", device: str = "auto", dtype: str = "auto"
) -> FlowPokeTransformer:
    """The model with the weights of `checkpoint`, see `fpt_ros.model.load_checkpoint`."""
    return load_checkpoint(checkpoint, device, dtype, allow_download=True)


def fpt_predictor(
    checkpoint: str = "embedded", device: str = "auto", dtype: str = "auto"
) -> Predictor:
    """The predictor in pixels, see `fpt_ros.Predictor`."""
    return Predictor.from_checkpoint(checkpoint, device=device, dtype=dtype, allow_download=True)


def fpt_released(device: str = "auto", dtype: str = "auto") -> FlowPokeTransformer:
    """The released base model. Its weights are for non-commercial use (CC BY-NC 4.0)."""
    return fpt(RELEASED, device, dtype)
