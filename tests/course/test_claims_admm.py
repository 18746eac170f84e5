"""What the page of systems says of ADMM-Net, against the stored runs."""

from course.kit import stored


def test_with_scaled_samples_it_is_above_total_variation() -> None:
    """The page of systems."""
    record = stored("images")
    scaled = record["medians"]["samples: ADMM-Net, scaled, three zooms"]
    assert scaled["seeds"] == 3
    for tv in ("samples: TV", "samples: TV, scaled"):
        assert scaled["lowest"] > record["rows"][tv]["psnr"] + 1
    assert scaled["lowest"] > record["medians"]["samples: ADMM-Net"]["highest"]
