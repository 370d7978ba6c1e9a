//! Ignition's rules for a config (`config/v3_*/types`), which Butane holds what it makes to.

use std::collections::HashSet;

use crate::field::{Join, Kind, Struct};
use crate::merge::key_of;
use crate::notes::Notes;
use crate::spec::Spec;
use crate::storage;
use crate::tree::{Place, Tree};
use crate::{unit, url};

/// Checks a finished config. `minor` is that of its spec 3.
pub(crate) fn check(config: &Tree, spec: Spec, notes: &mut Notes) {
    let minor = spec.ignition();
    duplicates(config, spec.root(), notes);
    if let Some(ignition) = config.get("ignition") {
        references(ignition, minor, notes);
    }
    if let Some(found) = config.get("storage") {
        storage::check(found, minor, notes);
    }
    units(config, notes);
    instances(config, notes);
    unit_paths(config, notes);
}

/// Entries of a list that are the same to Ignition.
fn duplicates(tree: &Tree, kind: &'static Struct, notes: &mut Notes) {
    let mut shared = HashSet::new();
    for field in kind.fields.iter().filter(|field| !field.json.is_empty()) {
        let Some(value) = tree.get(field.json) else {
            continue;
        };
        match field.kind {
            Kind::One(kind) => duplicates(value, kind, notes),
            Kind::Many(kind) => {
                for item in value.items() {
                    duplicates(item, kind, notes);
                }
            }
            _ => {}
        }
        if field.join == Join::Appended {
            continue;
        }
        let mut own = HashSet::new();
        let known = if field.join == Join::BySharedKey {
            &mut shared
        } else {
            &mut own
        };
        for item in value.items() {
            let key = key_of(item, field.kind);
            if !known.insert(key.clone()) {
                notes.error(
                    &item.place,
                    format!("`{key}` is there twice: remove one or make one of both"),
                );
            }
        }
    }
}

/// What Ignition fetches before anything else.
fn references(ignition: &Tree, minor: u8, notes: &mut Notes) {
    let config = ignition.get("config");
    let merges = config.map_or(&[][..], |config| config.list("merge"));
    let authorities = ignition.list_at(&["security", "tls", "certificateAuthorities"]);
    for reference in merges.iter().chain(authorities) {
        if reference.filled("source").is_none() {
            notes.error(
                &reference.place,
                "one of `source`, `inline` and `local` is needed here",
            );
        }
        resource(reference, minor, notes);
    }
    if let Some(replace) = config.and_then(|config| config.get("replace")) {
        resource(replace, minor, notes);
    }
    let Some(proxy) = ignition.get("proxy") else {
        return;
    };
    for key in ["httpProxy", "httpsProxy"] {
        let Some(address) = proxy.get(key) else {
            continue;
        };
        match url::scheme(address.as_text().unwrap_or_default()).as_deref() {
            Some("https") => {}
            Some("http") if key == "httpProxy" => {}
            Some("http") => notes.warn(
                &address.place,
                "requests over HTTPS go to this proxy in the clear: use an `https` proxy",
            ),
            _ => notes.error(&address.place, "a proxy is an `http` or `https` URL"),
        }
    }
}

/// Something to fetch: a config, a certificate, the contents of a file, a key.
pub(crate) fn resource(resource: &Tree, minor: u8, notes: &mut Notes) {
    if let Some(compression) = resource.filled("compression")
        && compression != "gzip"
    {
        notes.error(
            &resource.place_of("compression"),
            format!("compression `{compression}` is not known: there is `gzip`"),
        );
    }
    let source = resource.text("source");
    if let Some(source) = source {
        notes.check(&resource.place_of("source"), url::check(source, minor));
    }
    if let Some(hash) = resource.at(&["verification", "hash"]) {
        if source.is_none() {
            notes.error(&hash.place, "a hash needs `source`, what to verify");
        }
        notes.check(
            &hash.place,
            check_hash(hash.as_text().unwrap_or_default(), minor),
        );
    }
    let headers = resource.list("httpHeaders");
    if !headers.is_empty() {
        let scheme = source.and_then(url::scheme);
        if !matches!(scheme.as_deref(), Some("http" | "https")) {
            notes.error(
                &resource.place_of("httpHeaders"),
                "HTTP headers need an `http` or `https` URL in `source`",
            );
        }
    }
    for header in headers {
        if header.filled("name").is_none() {
            notes.error(&header.place_of("name"), "an HTTP header needs a name");
        }
        if header.text("value") == Some("") {
            notes.error(
                &header.place_of("value"),
                "the value of an HTTP header is empty",
            );
        }
    }
}

fn check_hash(hash: &str, minor: u8) -> Result<(), String> {
    let Some((function, sum)) = hash.split_once('-') else {
        return Err("a hash is a function, `-` and a sum, such as `sha512-0123…`".to_owned());
    };
    let length = match function {
        "sha512" => 128,
        "sha256" if minor >= 1 => 64,
        _ => {
            return Err(format!(
                "hash function `{function}` is not known in Ignition 3.{minor}.0"
            ));
        }
    };
    if sum.len() == length {
        Ok(())
    } else {
        Err(format!(
            "a {function} sum has {length} digits, this one {}",
            sum.len()
        ))
    }
}

fn units(config: &Tree, notes: &mut Notes) {
    const TYPES: [&str; 12] = [
        "service",
        "socket",
        "device",
        "mount",
        "automount",
        "swap",
        "target",
        "path",
        "timer",
        "snapshot",
        "slice",
        "scope",
    ];
    for unit in config.list_at(&["systemd", "units"]) {
        let name = unit.text("name").unwrap_or_default();
        let kind = name.rsplit_once('.').map(|(_, kind)| kind);
        if !kind.is_some_and(|kind| TYPES.contains(&kind)) {
            notes.error(
                &unit.place_of("name"),
                format!("unit `{name}` does not end in a type of unit, such as `.service`"),
            );
        }
        let place = unit.place_of("contents");
        let install = contents(unit, &place, notes);
        let says_something = unit.filled("contents").is_some();
        if unit.is_true("enabled") && says_something && install == Some(false) {
            notes.warn(
                &place,
                format!(
                    "unit `{name}` is enabled, but has no [Install] section: nothing will start it"
                ),
            );
        }
        for dropin in unit.list("dropins") {
            contents(dropin, &dropin.place_of("contents"), notes);
            let name = dropin.text("name").unwrap_or_default();
            if !name.ends_with(".conf") {
                notes.error(
                    &dropin.place_of("name"),
                    format!("drop-in `{name}` does not end in `.conf`"),
                );
            }
        }
    }
}

/// Instances of templates of the same config that have no `[Install]` section.
fn instances(config: &Tree, notes: &mut Notes) {
    let units = config.list_at(&["systemd", "units"]);
    for unit in units.iter().filter(|unit| unit.is_true("enabled")) {
        let name = unit.text("name").unwrap_or_default();
        let Some(template) = template_of(name) else {
            continue;
        };
        let contents = units
            .iter()
            .find(|unit| unit.text("name") == Some(&template))
            .and_then(|template| template.filled("contents"));
        if contents.is_some_and(|contents| unit::has_install(contents) == Ok(false)) {
            notes.warn(
                &unit.place_of("contents"),
                format!(
                    "unit `{name}` is enabled, but its template `{template}` has no [Install] section: nothing will start it"
                ),
            );
        }
    }
}

/// The template of an instance: `a@.service` of `a@b.service`.
fn template_of(name: &str) -> Option<String> {
    let (template, instance) = name.strip_suffix(".service")?.split_once('@')?;
    (!template.is_empty() && !instance.is_empty()).then(|| format!("{template}@.service"))
}

/// Whether the contents of a unit have an `[Install]` section; none if they cannot be read.
fn contents(unit: &Tree, place: &Place, notes: &mut Notes) -> Option<bool> {
    match unit::has_install(unit.text("contents").unwrap_or_default()) {
        Ok(install) => Some(install),
        Err(error) => {
            notes.error(place, format!("the unit cannot be read: {error}"));
            None
        }
    }
}

/// Files where a unit goes already.
fn unit_paths(config: &Tree, notes: &mut Notes) {
    let mut taken = HashSet::new();
    for unit in config.list_at(&["systemd", "units"]) {
        let name = unit.text("name").unwrap_or_default();
        if unit.filled("contents").is_some() {
            taken.insert(format!("/etc/systemd/system/{name}"));
        }
        for dropin in unit.list("dropins") {
            if dropin.filled("contents").is_some() {
                let dropin = dropin.text("name").unwrap_or_default();
                taken.insert(format!("/etc/systemd/system/{name}.d/{dropin}"));
            }
        }
    }
    for list in ["files", "directories", "links"] {
        for node in config.list_at(&["storage", list]) {
            if node.text("path").is_some_and(|path| taken.contains(path)) {
                notes.error(
                    &node.place_of("path"),
                    "a unit of `systemd.units` is written to this path, too",
                );
            }
        }
    }
}
