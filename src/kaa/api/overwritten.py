"""What others than kaa did to the packages of an environment: which they wrote over, and what they brought."""

from __future__ import annotations

from kaa.prefix.distribution_files import files_of_distributions as files_of_distributions
from kaa.prefix.distribution_files import read_distributions as read_distributions
from kaa.prefix.overwritten import find_damaged_quickly as find_damaged_quickly
