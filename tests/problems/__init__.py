"""Problems with known answers: reference, deliberately wrong score, sampler, and the true W2."""
