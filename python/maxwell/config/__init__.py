"""Fleet files: typed, checked, and refused with a hint when they are not what they seem to be."""

from maxwell.config.check import check_fleet, fleet_warnings
from maxwell.config.heat import sensor_path
from maxwell.config.parse import load_fleet, parse_fleet, parse_node
from maxwell.config.records import (
    AccountConfig,
    DirConfig,
    FleetConfig,
    HeatConfig,
    ModelConfig,
    NodeConfig,
    ProcessConfig,
    RequestConfig,
    RewardConfig,
    SponsorConfig,
)
from maxwell.config.single import process_name, single_module

__all__ = [
    "AccountConfig",
    "DirConfig",
    "FleetConfig",
    "HeatConfig",
    "ModelConfig",
    "NodeConfig",
    "ProcessConfig",
    "RequestConfig",
    "RewardConfig",
    "SponsorConfig",
    "check_fleet",
    "fleet_warnings",
    "load_fleet",
    "parse_fleet",
    "parse_node",
    "process_name",
    "sensor_path",
    "single_module",
]
