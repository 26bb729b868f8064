# SPDX-License-Identifier: Apache-2.0
"""The network's properties: who sees whom, what is kept, types and shapes."""

import copy
import dataclasses

import pytest
import torch

from fpt_ros.model import (
    FlowPokeTransformer,
    ModelConfig,
    SmallModelConfig,
    build_model,
    flow_poke,
)
from fpt_ros.model.dinov2 import DinoV2Encoder, SwiGluMlp

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def randomised(config: ModelConfig, seed: int = 0) -> FlowPokeTransformer:
    """Random weights in every tensor: as built, some layers give zeros."""
    model = build_model(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.add_(noise * (0.5 / (1, *parameter.shape)[-1] ** 0.5))
    return model.eval()


TINY = ModelConfig(encoder="dinov2_vits14", image_size=56, width=128, depth=2)
GUESSING = SmallModelConfig(image_size=64, width=128, depth=2, flow_scale=1.0, modes=3)


@pytest.fixture(scope="module", params=[TINY, GUESSING], ids=["released", "guessing"])
def model(request) -> FlowPokeTransformer:
    return randomised(request.param)


@pytest.fixture(scope="module")
def embedded(model):
    with torch.no_grad():
        return model.embed_image(torch.rand(1, 3, 60, 80, generator=seeded()) * 2 - 1)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def points(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, 2, generator=seeded(seed))


def test_the_base_model_has_the_released_layout():
    with torch.device("meta"):
        base = FlowPokeTransformer()
    state = base.state_dict()
    assert len(state) == 338
    assert sum(p.numel() for p in base.parameters()) == pytest.approx(233.5e6, rel=1e-3)
    assert state["image_embedder.model.pos_embed"].shape == (1, 1370, 768)
    assert state["transformer.layers.11.cross_kv.weight"].shape == (1536, 768)
    assert state["transformer.pos_emb.freqs"].shape == (2, 12, 16)
    assert state["input_mlp.coeffs"].shape == (1, 1, 1, 384)
    assert state["out_mlp.5.weight"].shape == (24, 768)


def test_the_giant_encoder_has_the_published_layout():
    with torch.device("meta"):
        encoder = DinoV2Encoder("dinov2_vitg14_reg")
    shapes = {name: tuple(value.shape) for name, value in encoder.state_dict().items()}
    assert sum(p.numel() for p in encoder.parameters()) == pytest.approx(1.136e9, rel=1e-3)
    assert shapes["blocks.39.mlp.w12.weight"] == (8192, 1536)
    assert shapes["blocks.39.mlp.w3.weight"] == (1536, 4096)
    assert shapes["blocks.0.attn.qkv.weight"] == (4608, 1536)


@torch.no_grad()
def test_the_giants_gated_mlp_is_the_published_formula():
    mlp, x = SwiGluMlp(24), torch.randn(2, 3, 24, generator=seeded())
    a, b = (x @ mlp.w12.weight.T + mlp.w12.bias).tensor_split(2, -1)
    expected = (a * a.sigmoid() * b) @ mlp.w3.weight.T + mlp.w3.bias
    torch.testing.assert_close(mlp(x), expected)


@pytest.mark.parametrize("size", ["s", "b", "l"])
@pytest.mark.parametrize("suffix", ["", "_reg"])
def test_every_encoder_size_gives_its_map(size, suffix):
    config = ModelConfig(f"dinov2_vit{size}14{suffix}", image_size=42, width=64, depth=1)
    model = build_model(config)
    with torch.no_grad():
        features = model.embed_image(torch.zeros(1, 3, 50, 42)).features
    assert features.shape == (1, {"s": 384, "b": 768, "l": 1024}[size], 3, 3)
    assert features.isfinite().all()


@torch.no_grad()
def test_queries_do_not_see_each_other_and_chunks_change_nothing(model, embedded, monkeypatch):
    pokes = points(1, 3, seed=1), points(1, 3, seed=2) * 0.1
    queries = points(1, 50, seed=3)
    whole = model.predict_parallel(*pokes, queries, True, embedded)
    monkeypatch.setattr(flow_poke, "QUERIES_AT_ONCE", 7)
    chunked = model.predict_parallel(*pokes, queries, True, embedded)
    alone = model.predict_parallel(*pokes, queries[:, 20:21], True, embedded)
    torch.testing.assert_close(chunked.locs, whole.locs, atol=1e-5, rtol=0)
    torch.testing.assert_close(alone.locs[:, 0], whole.locs[:, 20], atol=1e-5, rtol=0)


@torch.no_grad()
def test_chunks_without_pokes(model, embedded, monkeypatch):
    none = torch.zeros(1, 0, 2)
    queries = points(1, 9)
    whole = model.predict_parallel(none, none, queries, False, embedded)
    monkeypatch.setattr(flow_poke, "QUERIES_AT_ONCE", 4)
    chunked = model.predict_parallel(none, none, queries, False, embedded)
    torch.testing.assert_close(chunked.locs, whole.locs, atol=1e-5, rtol=0)


@torch.no_grad()
def test_many_poke_sets_share_one_image(model, embedded):
    pokes = points(5, 2, seed=1), points(5, 2, seed=2) * 0.1
    queries = points(5, 4, seed=3)
    static = torch.tensor([True, False, True, True, False])
    together = model.predict_parallel(*pokes, queries, static, embedded)
    for i in range(5):
        alone = model.predict_parallel(
            *(p[i : i + 1] for p in pokes), queries[i : i + 1], bool(static[i]), embedded
        )
        torch.testing.assert_close(together.locs[i : i + 1], alone.locs, atol=1e-5, rtol=0)


@torch.no_grad()
def test_pokes_static_camera_and_image_matter(model, embedded):
    pokes, queries = (points(1, 1, seed=1), points(1, 1, seed=2) * 0.1), points(1, 4, seed=3)
    given = model.predict_parallel(*pokes, queries, True, embedded).locs
    moved = model.predict_parallel(pokes[0], -pokes[1], queries, True, embedded).locs
    moving = model.predict_parallel(*pokes, queries, False, embedded).locs
    other = model.embed_image(torch.ones(1, 3, 56, 56))
    elsewhere = model.predict_parallel(*pokes, queries, True, other).locs
    for changed in (moved, moving, elsewhere):
        assert (changed - given).abs().max() > 1e-4


@torch.no_grad()
def test_query_causal_equals_single_predictions(model):
    embedded = model.embed_image(torch.rand(2, 3, 56, 56, generator=seeded()) * 2 - 1)
    rows, pokes, per_prefix = 4, 5, 3  # two motions an image
    poke_pos, poke_flow = points(rows, pokes, seed=1), points(rows, pokes, seed=2) * 0.1
    queries = points(rows, pokes, per_prefix, seed=3)
    causal = model.query_causal(poke_pos, poke_flow, queries, True, embedded)
    assert causal.shape == (rows, pokes, per_prefix)
    for i in range(pokes):
        single = model.predict_parallel(
            poke_pos[:, :i], poke_flow[:, :i], queries[:, i], True, embedded
        )
        torch.testing.assert_close(causal[:, i].locs, single.locs, atol=1e-5, rtol=0)


@torch.no_grad()
def test_sampling_conditions_on_its_own_samples(model, embedded):
    pokes = points(2, 2, seed=1), points(2, 2, seed=2) * 0.1
    queries = points(2, 4, seed=3)
    flows = model.sample_autoregressive(*pokes, queries, True, embedded, seeded(7), False)
    poke_pos, poke_flow, draws = *pokes, seeded(7)
    for i in range(4):
        query = queries[:, i : i + 1]
        mixture = model.predict_parallel(poke_pos, poke_flow, query, True, embedded)
        expected = mixture[:, 0].sample(1, draws)[0].float()
        torch.testing.assert_close(flows[:, i], expected, atol=1e-4, rtol=0)
        poke_pos = torch.cat([poke_pos, query], 1)
        poke_flow = torch.cat([poke_flow, expected[:, None]], 1)


@torch.no_grad()
def test_sampling_repeats_with_a_seed_in_any_order_and_without_pokes(model, embedded):
    none, queries = torch.zeros(3, 0, 2), points(3, 5)
    first, again = (
        model.sample_autoregressive(none, none, queries, False, embedded, seeded(1))
        for _ in range(2)
    )
    assert torch.equal(first, again)
    assert first.shape == (3, 5, 2)
    other = model.sample_autoregressive(none, none, queries, False, embedded, seeded(2))
    assert not torch.equal(first, other)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@torch.no_grad()
def test_devices_and_types_agree_and_the_head_stays_float64(model, device, dtype):
    images = torch.rand(1, 3, 60, 80, generator=seeded()) * 2 - 1
    inputs = points(1, 2, seed=1), points(1, 2, seed=2) * 0.1, points(1, 6, seed=3)
    expected = model.predict_parallel(*inputs, True, model.embed_image(images))
    other = copy.deepcopy(model).to(device, dtype)
    assert other.transformer.pos_emb.freqs.dtype == torch.float32
    assert other.input_mlp.coeffs.dtype == torch.float32
    got = other.predict_parallel(
        *(tensor.to(device) for tensor in inputs), True, other.embed_image(images.to(device))
    ).to("cpu")
    assert got.locs.dtype == got.scale_tril.dtype == got.logits.dtype == torch.float64
    tolerance = {torch.float32: 1e-4, torch.float16: 0.02, torch.bfloat16: 0.15}[dtype]
    tolerance *= 1 if model.config is TINY else 5  # the small encoder, untrained, is coarser
    torch.testing.assert_close(got.mean, expected.mean, atol=tolerance, rtol=0)


def test_training_runs_under_autocast_and_reaches_every_used_parameter():
    model = randomised(dataclasses.replace(TINY, encoder="dinov2_vits14_reg"))
    with torch.autocast("cpu", torch.bfloat16):
        loss = model.training_loss(
            torch.rand(2, 3, 56, 56), points(2, 4), points(2, 4) * 0.1,
            points(2, 4, 3), points(2, 4, 3) * 0.1, torch.tensor([True, False]),
        )  # fmt: skip
    loss.backward()
    assert loss.dtype == torch.float64
    unused = {name for name, p in model.named_parameters() if p.grad is None}
    assert unused == {
        "image_embedder.model.mask_token",
        *(f"transformer.layers.{i}.cross_out.weight" for i in range(2)),
    }


def test_shapes_that_do_not_fit_are_refused(model, embedded):
    one, two = torch.zeros(1, 1, 2), torch.zeros(1, 2, 2)
    with pytest.raises(ValueError, match="flows have shape"):
        model.predict_parallel(one, two, one, True, embedded)
    with pytest.raises(ValueError, match="query_pos has shape"):
        model.predict_parallel(one, one, torch.zeros(1, 0, 2), True, embedded)
    with pytest.raises(ValueError, match="query_pos has 1 rows"):
        model.predict_parallel(torch.zeros(2, 1, 2), torch.zeros(2, 1, 2), one, True, embedded)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("encoder", "resnet"), ("image_size", 100), ("image_size", "448"), ("width", 100),
        ("depth", 0), ("components", 2.5), ("flow_scale", 0.0), ("horizon", float("nan")),
        ("license", None),
    ],
)  # fmt: skip
def test_a_bad_config_names_the_field(field, value):
    with pytest.raises(ValueError, match=f"{field} is"):
        ModelConfig(**{field: value})


def test_a_config_survives_its_json_and_unknown_fields_do_not():
    config = dataclasses.replace(TINY, horizon=0.5, flow_scale=20.0)
    assert ModelConfig.from_json(config.to_json()) == config
    with pytest.raises(ValueError, match="unknown fields"):
        ModelConfig.from_json('{"widht": 3}')


@torch.no_grad()
def test_pokes_are_appended_and_read_at_any_length(model, embedded):
    pos, flow, queries = points(3, 6, seed=1), points(3, 6, seed=2) * 0.1, points(3, 4, seed=3)
    at_once = model.embed_pokes(pos, flow, True, embedded)
    grown = None
    for some in (slice(0, 2), slice(2, 3), slice(3, 3), slice(3, 6)):
        grown = model.embed_pokes(pos[:, some], flow[:, some], True, embedded, after=grown)
    assert len(grown) == len(at_once) == 6
    wanted = model.query(queries, at_once, embedded)
    found = model.query(queries, grown, embedded)
    torch.testing.assert_close(found.locs, wanted.locs, atol=1e-5, rtol=0)
    lengths = torch.tensor([[0, 1, 2, 6], [6, 5, 4, 3], [0, 0, 1, 1]])
    read = model.query(queries, at_once.upto(lengths), embedded)
    for row, column in ((0, 0), (0, 3), (1, 1), (2, 2)):
        count = lengths[row, column]
        alone = model.predict_parallel(
            pos[row : row + 1, :count], flow[row : row + 1, :count],
            queries[row : row + 1, column : column + 1], True, embedded,
        )  # fmt: skip
        torch.testing.assert_close(read[row, column].locs, alone[0, 0].locs, atol=1e-5, rtol=0)


@torch.no_grad()
def test_appending_leaves_the_earlier_cache_and_other_branches_as_they_are(model, embedded):
    pos, flow, queries = points(1, 3, seed=1), points(1, 3, seed=2) * 0.1, points(1, 4, seed=3)
    trunk = model.embed_pokes(pos[:, :1], flow[:, :1], True, embedded)
    before = model.query(queries, trunk, embedded)
    one, other = (
        model.embed_pokes(pos[:, i : i + 1], flow[:, i : i + 1], True, embedded, after=trunk)
        for i in (1, 2)
    )
    assert model.query(queries, trunk, embedded) == before
    found = [model.query(queries, branch, embedded) for branch in (one, other)]
    assert found[0] != found[1]
    again = model.embed_pokes(pos[:, 1:2], flow[:, 1:2], True, embedded, after=trunk)
    assert model.query(queries, again, embedded) == found[0]


@torch.no_grad()
def test_forward_under_the_published_mask_is_parallel_prediction(model, embedded):
    if model.config is not TINY:
        with pytest.raises(TypeError, match="forward is the published model's"):
            model(points(1, 1), points(1, 1), torch.ones(1, 1).bool(), True, None, embedded)
        return
    pos, flow = points(2, 9, seed=1), points(2, 9, seed=2) * 0.1
    column = torch.arange(9)
    row, is_query = column[:, None], (column >= 4).expand(2, -1)
    mask = (column == row) | ((column < row) & (column < 4))
    found = model(pos, flow, is_query, True, mask, embedded)
    wanted = model.predict_parallel(pos[:, :4], flow[:, :4], pos[:, 4:], True, embedded)
    torch.testing.assert_close(found[:, 4:].locs, wanted.locs, atol=1e-5, rtol=0)
    # Outputs at pokes: a poke sees earlier ones and itself, whatever comes later.
    causal = model(pos[:, :4], flow[:, :4], is_query[:, :4], True, None, embedded)
    torch.testing.assert_close(found[:, :4].locs, causal.locs, atol=1e-5, rtol=0)
    each = model(pos, flow, is_query, True, mask.expand(2, -1, -1), embedded)
    torch.testing.assert_close(each.locs, found.locs, atol=1e-5, rtol=0)


@torch.no_grad()
def test_each_row_is_sampled_in_an_order_of_its_own(model, embedded, monkeypatch):
    none, queries = torch.zeros(64, 0, 2), points(1, 5).expand(64, -1, -1)
    firsts = []
    real = model.sample_in_turn

    def watched(poke_pos, poke_flow, query_pos, *others):
        firsts.append(query_pos[:, 0])
        return real(poke_pos, poke_flow, query_pos, *others)

    monkeypatch.setattr(model, "sample_in_turn", watched)
    model.sample_autoregressive(none, none, queries, False, embedded, seeded(1))
    assert len(firsts[0].unique(dim=0)) == 5  # of 64 rows, each point comes first in some


@torch.no_grad()
def test_coarse_samples_are_refined_in_parallel(model, embedded):
    pokes = points(2, 2, seed=1), points(2, 2, seed=2) * 0.1
    coarse, queries = points(2, 3, seed=3), points(2, 7, seed=4)
    flows, mixture = model.sample_coarse_to_fine(*pokes, coarse, queries, True, embedded, seeded(5))
    wanted = model.sample_autoregressive(*pokes, coarse, True, embedded, seeded(5))
    torch.testing.assert_close(flows, wanted)
    given = torch.cat([pokes[0], coarse], 1), torch.cat([pokes[1], flows], 1)
    refined = model.predict_parallel(*given, queries, True, embedded)
    torch.testing.assert_close(mixture.mean, refined.mean, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"poke_flow": (2, 1)}, "flows have shape"),
        ({"query_pos": (2, 3, 4)}, "query_pos has shape"),
        ({"query_pos": (1, 4, 3)}, "query_pos has shape"),
        ({"query_flow": (2, 4, 1)}, "query_flow has shape"),
        ({"query_flow": (4, 3)}, "query_flow has shape"),
    ],
)
def test_the_training_pass_refuses_shapes_that_would_broadcast(model, changed, message):
    shapes = {"poke_pos": (2, 4), "poke_flow": (2, 4), "query_pos": (2, 4, 3)}
    shapes |= {"query_flow": (2, 4, 3)} | changed
    images = torch.zeros(2, 3, 64, 64)
    with pytest.raises(ValueError, match=message):
        model.training_loss(images, *(points(*shape) for shape in shapes.values()), True)
    with pytest.raises(ValueError, match="camera_static has shape"):
        four = points(2, 4), points(2, 4), points(2, 4, 3), points(2, 4, 3)
        model.training_loss(images, *four, torch.tensor([True]))
