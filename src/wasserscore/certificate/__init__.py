"""Certificates: upper bounds on W2 that say what they assume (floor 6)."""

from wasserscore.certificate.base import Assumption as Assumption
from wasserscore.certificate.base import Certificate as Certificate
from wasserscore.certificate.base import Limit as Limit
from wasserscore.certificate.base import Rung as Rung
from wasserscore.certificate.certify import certify as certify
from wasserscore.certificate.classes import ClassCertificates as ClassCertificates
from wasserscore.certificate.classes import certify_classes as certify_classes
