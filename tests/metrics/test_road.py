"""ROAD against hand arithmetic, a dense solution and pytorch-grad-cam; wrong input."""

import numpy as np
import pytest

from fmcam.metrics import road_lerf_score, road_morf_error, road_score

METRICS = [road_score, road_morf_error, road_lerf_score]


def first_pixel(images):
    """The first pixel as the probability of class 1."""
    first = images[:, 0, 0, 0] / (255 if images.dtype == np.uint8 else 1)
    return np.column_stack([1 - first, first])


def imputed(X, heatmaps, share, **options):
    """The images that the classifier sees without the hottest pixels."""
    seen = []

    def look(images):
        seen.append(images)
        return np.full((len(images), 2), 0.5)

    y = np.zeros(len(X), dtype=int)
    road_morf_error(look, X, y, heatmaps, shares=[share], **{"noise": 0, **options})
    return seen[0]


def test_a_pixel_is_the_mean_of_its_neighbours_and_sides_count_double():
    image = np.array([[[[0.9, 0.1], [0.3, 0.5]]]], dtype=np.float32)
    heatmap = [[[1, 0], [0, 0]]]
    found = imputed(image, heatmap, 0.25)
    by_hand = (2 * 0.1 + 2 * 0.3 + 0.5) / 5
    np.testing.assert_allclose(found[0, 0], [[by_hand, 0.1], [0.3, 0.5]], rtol=1e-6)
    assert road_morf_error(
        first_pixel, image, [1], heatmap, shares=[0.25], noise=0
    ) == pytest.approx(by_hand, rel=1e-6)
    # The coldest is the next pixel, whose absence the classifier does not notice.
    assert road_lerf_score(
        first_pixel, image, [1], heatmap, shares=[0.25], noise=0
    ) == pytest.approx(0.9, rel=1e-6)
    combined = road_score(first_pixel, image, [1], heatmap, shares=[0.25], noise=0)
    assert combined == pytest.approx((0.9 - by_hand) / 2, rel=1e-6)


def test_lines_of_pixels_are_filled_evenly():
    # 0, ?, ?, ?, 4 and its transpose: each is the mean of both neighbours.
    line = np.array([0, 9, 9, 9, 4], dtype=np.float32).reshape(1, 1, 1, 5)
    heatmap = np.array([[[0, 1, 1, 1, 0]]])
    found = imputed(line, heatmap, 0.6)
    np.testing.assert_allclose(found[0, 0, 0], [0, 1, 2, 3, 4], atol=1e-6)
    turned = imputed(line.swapaxes(2, 3), heatmap.swapaxes(1, 2), 0.6)
    np.testing.assert_allclose(turned, found.swapaxes(2, 3), atol=1e-6)


def test_the_share_of_pixels_is_removed_row_by_row_and_never_all():
    image = np.random.default_rng(0).random((1, 1, 4, 5), dtype=np.float32)
    for share, rows in [(0.25, 1), (0.5, 2), (0.75, 3)]:
        changed = imputed(image, np.zeros((1, 4, 5)), share)[0, 0] != image[0, 0]
        np.testing.assert_array_equal(changed.all(axis=1), np.arange(4) < rows)
        assert not changed[rows:].any()
    for share, n_changed in [(0.001, 1), (0.999, 19)]:
        assert (imputed(image, np.zeros((1, 4, 5)), share) != image).sum() == n_changed


def test_a_map_that_knows_beats_chance_and_its_opposite():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 100, (6, 3, 12, 12), dtype=np.uint8)
    X[:, :, 3:6, 4:7] = 255
    masks = (X == 255).all(axis=1)

    def sees_object(images):
        brightness = images[:, :, 3:6, 4:7].mean(axis=(1, 2, 3)) / 255
        return np.column_stack([1 - brightness, brightness])

    y = np.ones(6, dtype=int)
    knows = road_score(sees_object, X, y, masks + rng.random(masks.shape), average=None)
    wrong = road_score(sees_object, X, y, rng.random(masks.shape) - masks, average=None)
    chance = road_score(sees_object, X, y, rng.random(masks.shape), average=None)
    assert (knows > 0.1).all()
    assert (wrong < -0.1).all()
    assert abs(chance.mean()) < 0.1


def test_noise_is_seeded_and_scales_with_the_image():
    X = np.random.default_rng(0).random((2, 3, 8, 8), dtype=np.float32)
    maps = np.random.default_rng(1).random((2, 8, 8))
    clean, noisy, again, other = (
        imputed(X, maps, 0.5, noise=noise, random_state=seed)
        for noise, seed in [(0, 0), (0.1, 0), (0.1, 0), (0.1, 1)]
    )
    np.testing.assert_array_equal(noisy, again)
    assert (noisy != other).any()
    removed = clean != X
    np.testing.assert_array_equal(removed, noisy != X)
    deviation = np.std((noisy - clean)[removed]) / X.std()
    assert 0.08 < deviation < 0.12
    louder = imputed(100 * X, maps, 0.5, noise=0.1)
    np.testing.assert_allclose(louder, 100 * noisy, rtol=1e-4)


@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")
def test_equals_pytorch_grad_cam_without_noise():
    torch = pytest.importorskip("torch")
    road = pytest.importorskip("pytorch_grad_cam.metrics.road")
    confidence = pytest.importorskip("pytorch_grad_cam.metrics.perturbation_confidence")
    rng = np.random.default_rng(0)
    X = rng.random((3, 3, 10, 10), dtype=np.float32)
    maps = rng.random((3, 10, 10))
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(300, 4), torch.nn.Softmax(1))
    with torch.no_grad():
        net[1].weight.copy_(torch.tensor(rng.normal(0, 0.1, (4, 300))))

    def predict_proba(images):
        with torch.no_grad():
            return net(torch.tensor(images)).numpy()

    targets = [lambda output, label=label: output[label] for label in (0, 2, 3)]
    peers = {}
    for name, removal in [
        ("morf", confidence.RemoveMostRelevantFirst),
        ("lerf", confidence.RemoveLeastRelevantFirst),
    ]:
        imputer = road.NoisyLinearImputer(noise=0)
        peers[name] = np.mean(
            [
                confidence.PerturbationConfidenceMetric(removal(percentile, imputer))(
                    torch.tensor(X), maps, targets, net, return_diff=False
                )
                for percentile in range(10, 100, 10)
            ],
            axis=0,
        )
    arguments = predict_proba, X, [0, 2, 3], maps
    options = {"noise": 0, "average": None}
    np.testing.assert_allclose(road_morf_error(*arguments, **options), peers["morf"], rtol=1e-5)
    np.testing.assert_allclose(road_lerf_score(*arguments, **options), peers["lerf"], rtol=1e-5)
    combined = (peers["lerf"] - peers["morf"]) / 2
    np.testing.assert_allclose(road_score(*arguments, **options), combined, atol=1e-6)
    assert np.abs(combined).max() > 0.01


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shares": [0.5, 1]}, r"`shares` must be numbers in \(0, 1\), got \[0.5, 1\]"),
        ({"shares": [10, 50]}, "For 10 % pass"),
        ({"shares": []}, "`shares` must be numbers"),
        ({"shares": [[0.1, 0.2]]}, r"`shares` must be numbers in \(0, 1\), got \[\[0.1, 0.2\]\]"),
        ({"shares": [[0.1], [0.2, 0.3]]}, "`shares` must be of one size"),
        ({"noise": np.nan}, "`noise` must be finite, got nan"),
        ({"noise": -1}, "noise == -1, must be >= 0"),
    ],
)
def test_options_out_of_range_are_refused_before_any_work(metric, options, message):
    def never(images):
        raise AssertionError

    with pytest.raises(ValueError, match=message):
        metric(never, np.zeros((1, 1, 4, 4)), [0], np.ones((1, 4, 4)), **options)


@pytest.mark.parametrize("shares", [None, "0.3", ["0.3"], {0.1, 0.2}, {"a": 0.1}, [0.1j]])
def test_shares_that_are_no_numbers_are_refused_by_name(shares):
    with pytest.raises(TypeError, match="`shares` must hold real numbers, got a"):
        road_score(np.zeros, np.zeros((1, 1, 4, 4)), [0], np.ones((1, 4, 4)), shares=shares)
