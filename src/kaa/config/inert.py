"""The keys that conda reads and kaa has no use for: name → kind, conda's default, other names.

They are kept in files, cause no complaint, and can be shown and set like others, so that conda's files and the scripts
that write them go on working.
"""

from __future__ import annotations

from collections.abc import Mapping

from kaa.config.kinds import Anything, Kind

INERT: Mapping[str, tuple[Kind[object], object, tuple[str, ...]]] = {
    # name → kind, conda's default, aliases
    "allow_conda_downgrades": (Anything(), False, ()),
    "allow_cycles": (Anything(), True, ()),
    "allow_non_channel_urls": (Anything(), False, ()),
    "allow_softlinks": (Anything(), False, ()),
    "always_softlink": (Anything(), False, ("softlink",)),
    "anaconda_upload": (Anything(), None, ("binstar_upload",)),
    "auto_update_conda": (Anything(), False, ("self_update",)),
    "bld_path": (Anything(), "", ()),
    "clobber": (Anything(), False, ()),
    "conda_build": (Anything(), {}, ("conda-build",)),
    "console": (Anything(), "classic", ()),
    "croot": (Anything(), "", ()),
    "debug": (Anything(), False, ()),
    "default_python": (Anything(), None, ()),
    "default_threads": (Anything(), 0, ()),
    "deps_modifier": (Anything(), "not_set", ()),
    "dev": (Anything(), False, ()),
    "download_only": (Anything(), False, ()),
    "enable_private_envs": (Anything(), False, ()),
    "environment_specifier": (Anything(), None, ("env_spec",)),
    "error_upload_url": (Anything(), "", ()),
    "execute_threads": (Anything(), 1, ()),
    "experimental": (Anything(), [], ()),
    "export_platforms": (Anything(), [], ("extra_platforms",)),
    "force": (Anything(), False, ()),
    "force_32bit": (Anything(), False, ()),
    "force_reinstall": (Anything(), False, ()),
    "force_remove": (Anything(), False, ()),
    "ignore_pinned": (Anything(), False, ()),
    "no_lock": (Anything(), False, ()),
    "no_plugins": (Anything(), False, ()),
    "non_admin_enabled": (Anything(), True, ()),
    "notify_outdated_conda": (Anything(), False, ()),
    "plugins": (Anything(), {}, ()),
    "prefix_data_interoperability": (Anything(), True, ("pip_interop_enabled",)),
    "repodata_fns": (Anything(), ["repodata.json"], ()),
    "repodata_threads": (Anything(), 0, ()),
    "report_errors": (Anything(), None, ()),
    "restore_free_channel": (Anything(), False, ()),
    "rollback_enabled": (Anything(), True, ()),
    "root_prefix": (Anything(), "", ("root_dir",)),
    "sat_solver": (Anything(), "", ()),
    "separate_format_cache": (Anything(), False, ()),
    "shortcuts_only": (Anything(), [], ()),
    "signing_metadata_url_base": (Anything(), None, ()),
    "solver": (Anything(), "", ("experimental_solver",)),
    "solver_ignore_timestamps": (Anything(), False, ()),
    "subdirs": (Anything(), [], ()),
    "target_prefix_override": (Anything(), "", ()),
    "trace": (Anything(), False, ()),
    "unsatisfiable_hints": (Anything(), True, ()),
    "unsatisfiable_hints_check_depth": (Anything(), 2, ()),
    "update_modifier": (Anything(), "update_specs", ()),
    "use_index_cache": (Anything(), False, ()),
    "use_local": (Anything(), False, ()),
    "verify_threads": (Anything(), 1, ()),
}
