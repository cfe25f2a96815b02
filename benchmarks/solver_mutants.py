"""Wrong coefficients to plant in the solvers, one at a time: doubled, flipped, a root dropped."""

from typing import NamedTuple


class Mutant(NamedTuple):
    """One planted mistake.

    Args:
        solver: The solver it is meant for; others that share the line are wrong too.
        file: Where, below ``src/wasserscore``.
        old: The text to replace; it must occur exactly once in the file.
        new: What it becomes.
        first: The test file that is expected to notice, run first.
    """

    solver: str
    file: str
    old: str
    new: str
    first: str = "tests/sampling/test_coefficients.py"


COEFFICIENTS, TABLE = "sampling/coefficients.py", "sampling/table.py"
LAW, NATURAL, CHURN = "sampling/law.py", "sampling/natural.py", "sampling/churn.py"
CORRECTOR, ADAPTIVE = "sampling/corrector.py", "sampling/adaptive.py"
AFFINE, HEUN, RELAX = "dynamics/affine.py", "dynamics/heun.py", "dynamics/relaxation.py"
ADAMS, EMBEDDED = "dynamics/adams.py", "dynamics/embedded.py"
STEPS, MULTISTEP = "tests/dynamics/test_steps.py", "tests/sampling/test_multistep.py"
LAWS, LAW_TEST = "tests/sampling/test_laws.py", "tests/sampling/test_law.py"
ADAPT, TABLE_TEST = "tests/sampling/test_adaptive.py", "tests/sampling/test_table.py"

_INTEGRATED = "return Coefficients(1 + stretch, _weight(eta) * spread, eta**2 * spread)"
_EULER = "return Coefficients(1 + h * process.f(t), _weight(eta) * h * g2, eta**2 * h * g2)"
_DDIM = (
    "return Coefficients(e, e * process.variance(t) * (1 - kept), process.variance(s) * renewed)"
)
_DPM_Q = "return Coefficients(e, e * process.variance(t) * (1 - ratio ** _weight(eta)),"
_EULER_ROW = """"Karras et al. 2022, table 1",
           coefficients=coefficients.euler_maruyama"""
_ANCESTRAL_ROW = 'Method("ancestral", 1, 1, 1.0, "Ho, Jain, Abbeel 2020, eq. (7)",'

MUTANTS = (
    Mutant("integrated_euler", COEFFICIENTS, _INTEGRATED,
           _INTEGRATED.replace("_weight(eta)", "2 * _weight(eta)")),
    Mutant("integrated_euler", COEFFICIENTS, _INTEGRATED,
           _INTEGRATED.replace("1 + stretch", "1 - stretch")),
    Mutant("integrated_euler", COEFFICIENTS, _INTEGRATED,
           _INTEGRATED.replace("eta**2", "eta")),
    Mutant("integrated_euler", COEFFICIENTS, _INTEGRATED,
           _INTEGRATED.replace("1 + stretch", "stretch.exp()")),
    Mutant("euler_maruyama", COEFFICIENTS, _EULER, _EULER.replace("eta**2", "2 * eta**2")),
    Mutant("euler_maruyama", COEFFICIENTS, _EULER,
           _EULER.replace("process.f(t)", "process.f(s)")),
    Mutant("euler_maruyama", COEFFICIENTS, _EULER,
           _EULER.replace("_weight(eta)", "-_weight(eta)")),
    Mutant("euler_maruyama", COEFFICIENTS, _EULER,
           _EULER.replace("eta**2 * h * g2", "eta**2 * h * g2.sqrt()")),
    Mutant("euler", COEFFICIENTS, _EULER, _EULER.replace("_weight(eta) * h", "h")),
    Mutant("euler", TABLE, _EULER_ROW, _EULER_ROW.replace("euler_maruyama", "integrated_euler")),
    Mutant("euler", TABLE, 'Method("euler", 1, 1, 0.0,', 'Method("euler", 1, 1, 1.0,', TABLE_TEST),
    Mutant("exponential", COEFFICIENTS, "_weight(eta) * process.exponential_weight(t, s)",
           "2 * _weight(eta) * process.exponential_weight(t, s)"),
    Mutant("exponential", COEFFICIENTS, "return Coefficients(stretch.exp(),",
           "return Coefficients((-stretch).exp(),"),
    Mutant("exponential", COEFFICIENTS, "eta**2 * process.alpha(s) ** 2 * gap",
           "eta**2 * process.alpha(s) * gap"),
    Mutant("exponential", COEFFICIENTS, "eta**2 * process.alpha(s) ** 2 * gap",
           "eta**2 * process.alpha(t) ** 2 * gap"),
    Mutant("ddim", COEFFICIENTS, "kept = (ratio * (1 - renewed)).sqrt()",
           "kept = ratio * (1 - renewed)"),
    Mutant("ddim", COEFFICIENTS, _DDIM, _DDIM.replace("(1 - kept)", "(1 + kept)")),
    Mutant("ddim", COEFFICIENTS, "kept = (ratio * (1 - renewed)).sqrt()",
           "kept = (ratio * (1 + renewed)).sqrt()"),
    Mutant("ddim", COEFFICIENTS, "e = alpha_s / process.alpha(t)",
           "e = process.alpha(t) / alpha_s"),
    Mutant("ancestral", COEFFICIENTS, _DDIM,
           _DDIM.replace("process.variance(s)", "process.variance(t)")),
    Mutant("ancestral", COEFFICIENTS, "alpha_s, renewed = process.alpha(s), eta**2 * (1 - ratio)",
           "alpha_s, renewed = process.alpha(s), eta * (1 - ratio)"),
    Mutant("ancestral", COEFFICIENTS, _DDIM, _DDIM.replace("* renewed", "* 2 * renewed")),
    Mutant("ancestral", TABLE, _ANCESTRAL_ROW, _ANCESTRAL_ROW.replace("1.0", "0.0"), TABLE_TEST),
    Mutant("dpmpp_1s", COEFFICIENTS, _DPM_Q, _DPM_Q.replace("ratio **", "ratio ** 2 **")),
    Mutant("dpmpp_1s", COEFFICIENTS, "renewed = 1 - ratio ** (eta**2) if eta else 0 * ratio",
           "renewed = 1 - ratio**eta if eta else 0 * ratio"),
    Mutant("dpmpp_1s", COEFFICIENTS, "renewed = 1 - ratio ** (eta**2) if eta else 0 * ratio",
           "renewed = 1 - ratio ** (eta**2 / 2) if eta else 0 * ratio"),
    Mutant("dpmpp_1s", COEFFICIENTS, "e = process.alpha(s) / process.alpha(t)",
           "e = process.alpha(t) / process.alpha(s)"),
    Mutant("every one-evaluation solver", AFFINE, "weighted_sum(*moved, (root_n, noise))",
           "weighted_sum(*moved, (root_n**2, noise))", STEPS),
    Mutant("every one-evaluation solver", "sampling/solver.py", "n.clamp_min(0).sqrt().tolist()",
           "n.clamp_min(0).tolist()", LAWS),
    Mutant("heun", HEUN, "return x + h / 2 * (here + self", "return x + h * (here + self", STEPS),
    Mutant("heun", HEUN, "predicted = x + h * here", "predicted = x + h / 2 * here", STEPS),
    Mutant("heun", HEUN, "(here + self.sde.drift(predicted, s))",
           "(here - self.sde.drift(predicted, s))", STEPS),
    Mutant("heun", LAW, "weight = (1 + self.eta**2) / 2", "weight = 1 + self.eta**2", LAW_TEST),
    Mutant("heun", LAW, "weighted_sum((f[t], x)", "weighted_sum((-f[t], x)", LAW_TEST),
    Mutant("heun", TABLE, "build=lambda law: Heun(law.sde(), singular=0.0)",
           "build=lambda law: Heun(law.sde(), singular=1e9)", MULTISTEP),
    Mutant("heun_churn", CHURN, "self.noise_scale * math.sqrt(raised**2 - r**2)",
           "self.noise_scale * (raised**2 - r**2)", MULTISTEP),
    Mutant("heun_churn", CHURN, "r * (1 + self.gamma)", "r * (1 + 2 * self.gamma)", MULTISTEP),
    Mutant("heun_churn", CHURN, "min(churn / law.grid.steps, math.sqrt(2) - 1)",
           "min(churn / law.grid.steps, 2 - 1)", MULTISTEP),
    Mutant("heun_churn", CHURN, "(1.0, y), (added, noise)", "(1.0, y), (2 * added, noise)",
           MULTISTEP),
    Mutant("heun_churn", NATURAL, "drift=lambda y, r: -self.noise(y, r)",
           "drift=lambda y, r: self.noise(y, r)", MULTISTEP),
    Mutant("dpmpp_2m", RELAX, "/ (2 * math.log(before / r))", "/ math.log(before / r)", MULTISTEP),
    Mutant("dpmpp_2m", RELAX, "((kept - 1) * ahead, old)", "((1 - kept) * ahead, old)", MULTISTEP),
    Mutant("dpmpp_2m", RELAX, "(kept, y), (1 - kept, target)",
           "(kept, y), (1 + kept, target)", MULTISTEP),
    Mutant("dpmpp_2m", NATURAL, "(r**2 * alpha, score)",
           "(r * alpha, score)", MULTISTEP),
    Mutant("dpmpp_2m_sde", RELAX, "s * math.sqrt(1 - (s / r) ** (2 * eta**2))",
           "s * (1 - (s / r) ** (2 * eta**2))", MULTISTEP),
    Mutant("dpmpp_2m_sde", RELAX, "** (1 + eta**2)", "** (1 + eta)", MULTISTEP),
    Mutant("dpmpp_2m_sde", RELAX, "return [(s * math", "return [(r * math", MULTISTEP),
    Mutant("dpmpp_2m_sde", TABLE, "RelaxationMultistep(natural.data, law.eta)",
           "RelaxationMultistep(natural.data, 0.0)", MULTISTEP),
    Mutant("dpmpp_2s", RELAX, "middle = math.sqrt(r * s)", "middle = (r + s) / 2", MULTISTEP),
    Mutant("dpmpp_2s", RELAX, "relax(y, aim, r, middle, None), middle)",
           "relax(y, aim, r, s, None), middle)", MULTISTEP),
    Mutant("dpmpp_2s", NATURAL, "self.law.score(scaled(alpha, y), t)",
           "self.law.score(y, t)", MULTISTEP),
    Mutant("deis", ADAMS, "1 / (powers + 1.0)", "1 / (powers + 2.0)", STEPS),
    Mutant("deis", ADAMS, "for w in h * weights]", "for w in 2 * h * weights]", STEPS),
    Mutant("deis", ADAMS, "[-self.order :]", "[-self.order + 1 :]", STEPS),
    Mutant("deis", TABLE, "AdamsBashforth(natural.noise, 3,", "AdamsBashforth(natural.noise, 2,",
           MULTISTEP),
    Mutant("deis", NATURAL, "return -r * alpha * score", "return r * alpha * score",
           MULTISTEP),
    Mutant("deis", NATURAL, "return scaled(self._alpha[s], y)",
           "return scaled(self._alpha[t], y)", MULTISTEP),
    Mutant("dpm_1s", COEFFICIENTS, "2 * _weight(eta) * frozen", "_weight(eta) * frozen"),
    Mutant("dpm_1s", COEFFICIENTS, "eta**2 * alpha_s**2 * (before - after)",
           "eta**2 * alpha_s * (before - after)"),
    Mutant("dpm_1s", COEFFICIENTS, "(before.sqrt() - after.sqrt())", "(before - after)"),
    Mutant("adaptive", EMBEDDED, "(2 / 9 * k1 + 1 / 3 * k2", "(1 / 9 * k1 + 1 / 3 * k2", ADAPT),
    Mutant("adaptive", EMBEDDED, "self.velocity(y + 3 * step / 4 * k2,",
           "self.velocity(y + step / 4 * k2,", ADAPT),
    Mutant("adaptive", EMBEDDED, "(-5 / 72 * k1", "(5 / 72 * k1", ADAPT),
    Mutant("adaptive", ADAPTIVE, "return -expand_like(r, y) * alpha",
           "return expand_like(r, y) * alpha", ADAPT),
    Mutant("adaptive", ADAPTIVE, "process.time_at(part**2)", "process.time_at(part)", ADAPT),
    Mutant("pc", CORRECTOR, "size = 2 * self.snr**2", "size = self.snr**2", LAWS),
    Mutant("pc", CORRECTOR, "((2 * size) ** 0.5, z)", "(2 * size, z)", LAWS),
    Mutant("pc", CORRECTOR, "(size, self.law.score", "(-size, self.law.score", LAWS),
    Mutant("pc", CORRECTOR, "self.law.process.variance(s)", "self.law.process.variance(t)", LAWS),
)  # fmt: skip
