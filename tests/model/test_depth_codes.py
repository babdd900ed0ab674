import numpy as np

from forearm.model.depth_codes import DEPTH_CODES, code_metres, depth_codes


def test_depth_codes_decode_to_within_half_a_code() -> None:
    depth = np.linspace(0.56, 1.44, 500, dtype=np.float32)
    assert np.abs(code_metres()[depth_codes(depth)] - depth).max() <= 0.9 / DEPTH_CODES / 2 + 1e-6
    assert depth_codes(np.array([np.nan, 0.1, 9.0], dtype=np.float32)).tolist() == [-1, 0, DEPTH_CODES - 1]
