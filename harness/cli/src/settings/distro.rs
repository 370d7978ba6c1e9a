//! Which distribution it is.

use std::path::Path;

use anyhow::{anyhow, bail};
use kolea_machine::profile::Profile;

use super::{is_kola, text};
use crate::args::GlobalArgs;
use crate::build::Build;
use crate::layers::is_profile_path;

/// The distribution of a run.
#[derive(Clone, Debug)]
pub struct Distro {
    /// Its name; none if only the booted machine can tell.
    pub name: Option<String>,
    /// Its facts; those of a distribution of which nothing is known if only the booted machine can tell.
    pub profile: Profile,
}

impl Distro {
    /// The distribution of `--distro`, or the build's. If nothing tells, kola takes it for fcos, and kolea asks the first
    /// machine.
    pub fn resolve(global: &GlobalArgs, build: Option<&Build>) -> anyhow::Result<Distro> {
        if let Some(distro) = text(&global.target.distro) {
            return Distro::named(&distro);
        }
        if let Some(build) = build {
            let profile = Profile::of_build_name(&build.name).ok_or_else(|| {
                anyhow!(
                    "build {} is of `{}`, which is no distribution that is known; name one by -b: {}",
                    build.id,
                    build.name,
                    Profile::names().join(", ")
                )
            })?;
            return Ok(Distro::of(profile));
        }
        if is_kola() {
            return Distro::named("fcos");
        }
        Ok(Distro {
            name: None,
            ..Distro::named("generic")?
        })
    }

    fn named(distro: &str) -> anyhow::Result<Distro> {
        if is_profile_path(distro) {
            return Ok(Distro::of(Profile::load(Path::new(distro))?));
        }
        match Profile::builtin(distro) {
            Some(profile) => Ok(Distro::of(profile)),
            None => bail!(
                "unknown distribution `{distro}`; known are {}, and a profile of your own is a file: -b FILE.toml",
                Profile::names().join(", ")
            ),
        }
    }

    fn of(profile: Profile) -> Distro {
        Distro {
            name: Some(profile.name.clone()),
            profile,
        }
    }
}
