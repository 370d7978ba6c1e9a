//! The variants and versions of Butane's specification.

use crate::field::Struct;
use crate::schema::{COREOS_ROOT, OPENSHIFT_ROOT, ROOT};

/// An operating system that Butane writes configs for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    Fcos,
    Flatcar,
    Openshift,
    R4e,
    Fiot,
    /// NestOS's own Butane (openEuler's NestOS user guide, 7.2): `nestos` 1.0.0 makes Ignition 3.3.0, as `fcos` 1.4.0 does.
    Nestos,
}

/// A version of a variant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spec {
    pub variant: Variant,
    /// Its version, without the last `.0`.
    major_minor: (u8, u8),
    /// The minor version of the fcos spec whose keys it has.
    pub level: u8,
}

const FIRST: Spec = spec(Variant::Fcos, 1, 0, 0);

/// All there are (Butane's `docs/specs.md`).
const SPECS: &[Spec] = &[
    FIRST,
    spec(Variant::Fcos, 1, 1, 1),
    spec(Variant::Fcos, 1, 2, 2),
    spec(Variant::Fcos, 1, 3, 3),
    spec(Variant::Fcos, 1, 4, 4),
    spec(Variant::Fcos, 1, 5, 5),
    spec(Variant::Fcos, 1, 6, 6),
    spec(Variant::Fcos, 1, 7, 7),
    spec(Variant::Flatcar, 1, 0, 4),
    spec(Variant::Flatcar, 1, 1, 5),
    spec(Variant::Openshift, 4, 8, 3),
    spec(Variant::Openshift, 4, 9, 3),
    spec(Variant::Openshift, 4, 10, 3),
    spec(Variant::Openshift, 4, 11, 3),
    spec(Variant::Openshift, 4, 12, 3),
    spec(Variant::Openshift, 4, 13, 3),
    spec(Variant::Openshift, 4, 14, 5),
    spec(Variant::Openshift, 4, 15, 5),
    spec(Variant::Openshift, 4, 16, 5),
    spec(Variant::Openshift, 4, 17, 5),
    spec(Variant::Openshift, 4, 18, 5),
    spec(Variant::Openshift, 4, 19, 6),
    spec(Variant::Openshift, 4, 20, 6),
    spec(Variant::Openshift, 4, 21, 6),
    // Butane 0.28 made Ignition 3.6.0 of it, which no cluster reads; 0.29 went back to 3.5.0
    spec(Variant::Openshift, 4, 22, 6),
    spec(Variant::Openshift, 5, 0, 6),
    spec(Variant::R4e, 1, 0, 4),
    spec(Variant::R4e, 1, 1, 5),
    spec(Variant::Fiot, 1, 0, 5),
    spec(Variant::Nestos, 1, 0, 4),
];

const fn spec(variant: Variant, major: u8, minor: u8, level: u8) -> Spec {
    Spec {
        variant,
        major_minor: (major, minor),
        level,
    }
}

impl Variant {
    const ALL: [Variant; 6] = [
        Variant::Fcos,
        Variant::Flatcar,
        Variant::Openshift,
        Variant::R4e,
        Variant::Fiot,
        Variant::Nestos,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Variant::Fcos => "fcos",
            Variant::Flatcar => "flatcar",
            Variant::Openshift => "openshift",
            Variant::R4e => "r4e",
            Variant::Fiot => "fiot",
            Variant::Nestos => "nestos",
        }
    }
}

impl Spec {
    /// The spec that a config names.
    ///
    /// # Errors
    ///
    /// A line that says what is wrong with the variant or the version and which there are.
    pub(crate) fn find(variant: &str, version: &str) -> Result<Spec, Unknown> {
        if variant == "rhcos" {
            return Err(Unknown::Variant(
                "variant `rhcos` is no longer part of Butane: use `openshift`".to_owned(),
            ));
        }
        let Some(&known) = Variant::ALL.iter().find(|known| known.name() == variant) else {
            let names: Vec<_> = Variant::ALL.iter().map(|known| known.name()).collect();
            return Err(Unknown::Variant(format!(
                "variant `{variant}` is not known: there are {}",
                names.join(", ")
            )));
        };
        let specs = || SPECS.iter().filter(move |spec| spec.variant == known);
        if let Some(&spec) = specs().find(|spec| spec.version() == version) {
            return Ok(spec);
        }
        let versions: Vec<_> = specs().map(Spec::version).collect();
        let versions = versions.join(", ");
        let stable = version.strip_suffix("-experimental");
        Err(Unknown::Version(match stable {
            Some(stable) if specs().any(|spec| spec.version() == stable) => {
                format!("version {version} of {variant} is stable by now: say `version: {stable}`")
            }
            Some(_) => format!(
                "version {version} of {variant} is experimental, which only a `butane` program reads: there are {versions}"
            ),
            None if !is_semver(version) => format!(
                "`{version}` is not a version with three numbers, such as {}",
                versions.split(", ").next().unwrap_or_default()
            ),
            None => format!("version {version} of {variant} is not known: there are {versions}"),
        }))
    }

    /// The version, as a config spells it.
    pub(crate) fn version(&self) -> String {
        format!("{}.{}.0", self.major_minor.0, self.major_minor.1)
    }

    /// Whether this is the given version of the variant or a later one.
    pub(crate) fn is_since(self, major: u8, minor: u8) -> bool {
        self.major_minor >= (major, minor)
    }

    /// Whether the rules hold that Butane gave to all its versions at once from 0.24 on: NestOS's own Butane is older.
    pub(crate) fn has_later_rules(self) -> bool {
        self.variant != Variant::Nestos
    }

    /// The minor version of the Ignition spec 3 that it makes.
    pub(crate) fn ignition(self) -> u8 {
        if self.level < 3 {
            self.level
        } else {
            self.level - 1
        }
    }

    /// Whether the variant has the boot disk of a CoreOS.
    pub(crate) fn is_coreos(self) -> bool {
        matches!(
            self.variant,
            Variant::Fcos | Variant::Nestos | Variant::Openshift
        )
    }

    pub(crate) fn root(self) -> &'static Struct {
        match self.variant {
            Variant::Fcos | Variant::Nestos => &COREOS_ROOT,
            Variant::Openshift => &OPENSHIFT_ROOT,
            Variant::Flatcar | Variant::R4e | Variant::Fiot => &ROOT,
        }
    }

    /// Whether `inline` and `local` contents may be compressed: OpenShift's machine config operator could not read that at first.
    pub(crate) fn compresses(self) -> bool {
        self.variant != Variant::Openshift || self.is_since(4, 10)
    }
}

/// Why there is no such spec: which key of the config is to blame, and a line about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    Variant(String),
    Version(String),
}

/// `1.2.3`, with anything after a `-` or `+`.
pub(crate) fn is_semver(version: &str) -> bool {
    let numbers = version.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<_> = numbers.split('.').collect();
    numbers.len() == 3
        && numbers
            .iter()
            .all(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spec_makes_the_ignition_of_butanes_table() {
        for (variant, version, ignition) in [
            ("fcos", "1.0.0", 0),
            ("fcos", "1.1.0", 1),
            ("fcos", "1.2.0", 2),
            ("fcos", "1.3.0", 2),
            ("fcos", "1.4.0", 3),
            ("fcos", "1.5.0", 4),
            ("fcos", "1.6.0", 5),
            ("fcos", "1.7.0", 6),
            ("flatcar", "1.0.0", 3),
            ("flatcar", "1.1.0", 4),
            ("openshift", "4.8.0", 2),
            ("openshift", "4.13.0", 2),
            ("openshift", "4.14.0", 4),
            ("openshift", "4.18.0", 4),
            ("openshift", "4.19.0", 5),
            ("openshift", "4.22.0", 5),
            ("openshift", "5.0.0", 5),
            ("r4e", "1.0.0", 3),
            ("r4e", "1.1.0", 4),
            ("fiot", "1.0.0", 4),
            ("nestos", "1.0.0", 3),
        ] {
            let spec = Spec::find(variant, version).unwrap();
            assert_eq!(spec.ignition(), ignition, "{variant} {version}");
        }
    }

    #[test]
    fn versions_are_compared_whole() {
        for (version, since_4_10, since_4_20) in [
            ("4.9.0", false, false),
            ("4.10.0", true, false),
            ("4.22.0", true, true),
            ("5.0.0", true, true),
        ] {
            let spec = Spec::find("openshift", version).unwrap();
            assert_eq!(spec.is_since(4, 10), since_4_10, "{version}");
            assert_eq!(spec.is_since(4, 20), since_4_20, "{version}");
            assert_eq!(spec.compresses(), since_4_10, "{version}");
        }
    }

    #[test]
    fn faults_are_told_apart() {
        for (variant, version, expected) in [
            ("ubuntu", "1.0.0", "there are fcos, flatcar, openshift"),
            ("rhcos", "0.1.0", "use `openshift`"),
            ("fcos", "1.9.0", "there are 1.0.0, 1.1.0"),
            ("fcos", "1.4", "three numbers"),
            ("fcos", "1.7.0-experimental", "say `version: 1.7.0`"),
            ("fcos", "1.8.0-experimental", "only a `butane` program"),
        ] {
            let (Unknown::Variant(message) | Unknown::Version(message)) =
                Spec::find(variant, version).unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
    }
}
