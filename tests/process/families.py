"""Every family once; a new one is one line here and inherits the contract suite."""

from wasserscore.process import EDM, OU, VE, VP, LinearSDE, SubVP

MEMBERS = {
    "ve_constant": VE.constant(a=0.7),
    "ve_sqrt": VE.sqrt(a=1.3),
    "ve_polynomial": VE.polynomial(a=0.8, b=0.3, c=2.0),
    "ve_polynomial_from_zero": VE.polynomial(a=0.8, b=0.0, c=1.5),
    "ve_exponential": VE.exponential(a=0.9, b=1.1),
    "ve_exponential_flat": VE.exponential(a=0.9, b=1e-9),
    "ve_sigmas_constant": VE.from_sigmas(sigma_min=0.01, sigma_max=50.0, shape="constant"),
    "ve_sigmas_sqrt": VE.from_sigmas(sigma_min=0.01, sigma_max=50.0, shape="sqrt"),
    "ve_sigmas_polynomial": VE.from_sigmas(
        sigma_min=0.01, sigma_max=50.0, shape="polynomial", order=7.0
    ),
    "ve_sigmas_exponential": VE.from_sigmas(sigma_min=0.01, sigma_max=50.0),
    "vp_constant": VP.constant(beta=1.2),
    "vp_linear": VP.linear(a=19.9, b=0.1, horizon=1.0),
    "vp_polynomial": VP.polynomial(a=0.9, b=0.4, rho=3.0),
    "vp_polynomial_root": VP.polynomial(a=0.9, b=0.4, rho=-0.5),
    "vp_exponential": VP.exponential(a=0.2, b=1.0),
    "vp_exponential_flat": VP.exponential(a=0.2, b=1e-9),
    "vp_betas_linear": VP.from_betas(beta_min=0.1, beta_max=20.0),
    "vp_betas_polynomial": VP.from_betas(
        beta_min=0.1, beta_max=20.0, shape="polynomial", order=5.0
    ),
    "vp_betas_exponential": VP.from_betas(beta_min=0.1, beta_max=30.0, shape="exponential"),
    "vp_betas_constant": VP.from_betas(beta_min=5.0, beta_max=5.0, shape="constant"),
    "vp_cosine": VP.cosine(),
    "vp_strasman": VP.strasman(beta_min=0.1, beta_max=20.0, curvature=3.0),
    "vp_strasman_concave": VP.strasman(beta_min=0.1, beta_max=20.0, curvature=-3.0),
    "vp_strasman_flat": VP.strasman(beta_min=0.1, beta_max=20.0, curvature=1e-6),
    "vp_chain": VP.chain(betas=[0.01, 0.02, 0.3, 0.05, 0.4, 0.7]),
    "sub_vp": SubVP.linear(a=19.9, b=0.1),
    "ou": OU(alpha=0.6, sigma=1.4),
    "edm": EDM(),
    "linear_sde": LinearSDE(
        f=lambda t: (0.1 + t**2) / 2, g2=lambda t: 1 + t.sin() ** 2, horizon=3.0
    ),
}
