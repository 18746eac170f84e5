"""What chapter 14 and the page of systems say of ADMM-Net, against the stored runs."""

from course.kit import stored


def test_with_scaled_samples_it_is_above_total_variation() -> None:
    """Chapter 14, the signature result, and the page of systems."""
    record = stored("images")
    scaled = record["medians"]["samples: ADMM-Net, scaled, three zooms"]
    assert scaled["seeds"] == 3
    for tv in ("samples: TV", "samples: TV, scaled"):
        assert scaled["lowest"] > record["rows"][tv]["psnr"] + 1
    assert scaled["lowest"] > record["medians"]["samples: ADMM-Net"]["highest"]
    plain, twin = (record["rows"][f"samples: TV{k}"]["psnr"] for k in ("", ", scaled"))
    assert 0 <= twin - plain < 0.1
