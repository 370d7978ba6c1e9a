//! From Butane's keys to Ignition's: contents, local files, mount units.

use crate::data_url::{data_url, escaped_url};
use crate::embedded;
use crate::field::{Kind, Struct};
use crate::files::Files;
use crate::merge::merge;
use crate::notes::Notes;
use crate::schema::{CONFIG_RESOURCE, DROPIN, PASSWD_USER, RESOURCE, UNIT};
use crate::spec::Spec;
use crate::tree::{Data, Tree};
use crate::{Severity, boot, grub, mount, openshift, trees};

/// What a translation needs besides the config.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'a> {
    pub spec: Spec,
    pub files: Files<'a>,
}

/// The Ignition config of a Butane config, not checked against Ignition's rules yet.
pub(crate) fn desugar(mut config: Tree, context: Context<'_>, notes: &mut Notes) -> Tree {
    let spec = context.spec;
    let kind = spec.root();
    let root = config.place.clone();
    config.take("variant");
    let version = config
        .take("version")
        .map_or_else(|| root.below("version"), |version| version.place);
    let boot_device = config.take("boot_device");
    let grub = config.take("grub");
    config.take("metadata");
    let openshift = config.take("openshift");

    resolve(&mut config, kind, context, notes);
    if let Some(ignition) = config.get_or("ignition", || Data::Map(Vec::new())) {
        let said = format!("3.{}.0", spec.ignition());
        ignition.set("version", Tree::text_of(&said, &version));
    }
    let trees = config
        .get_mut("storage")
        .and_then(|storage| storage.take("trees"));
    if let Some(units) = mount::units(&mut config, spec) {
        config = merge(&units, &config, kind, spec.level);
    }
    if let Some(trees) = &trees {
        trees::embed(trees, &mut config, context, notes);
    }
    if notes.is_fatal() {
        return config;
    }
    if let Some(disks) = boot_device.and_then(|device| boot::disks(&device)) {
        config = merge(&disks, &config, kind, spec.level);
    }
    if spec.is_coreos() {
        boot::check_partitions(&config, spec, notes);
    }
    if let Some(file) = grub
        .as_ref()
        .and_then(|grub| grub::user_config(grub, context))
    {
        config = merge(&file, &config, kind, spec.level);
    }
    if let Some(openshift) = &openshift {
        openshift::apply(openshift, &mut config, spec, notes);
    }
    config
}

/// Resolves what stands for something else within one value: `inline`, `local` and the like.
fn resolve(tree: &mut Tree, kind: &'static Struct, context: Context<'_>, notes: &mut Notes) {
    for field in kind.fields {
        let key = if field.json.is_empty() {
            field.yaml
        } else {
            field.json
        };
        let Some(value) = tree.get_mut(key) else {
            continue;
        };
        match (field.kind, &mut value.data) {
            (Kind::One(kind), _) => resolve(value, kind, context, notes),
            (Kind::Many(kind), Data::List(items)) => {
                for item in items {
                    resolve(item, kind, context, notes);
                }
            }
            _ => {}
        }
    }
    if kind.is(&RESOURCE) || kind.is(&CONFIG_RESOURCE) {
        resource(tree, context, notes);
    } else if kind.is(&PASSWD_USER) {
        ssh_keys(tree, context, notes);
    } else if kind.is(&UNIT) || kind.is(&DROPIN) {
        unit_contents(tree, context, notes);
    }
}

fn resource(resource: &mut Tree, context: Context<'_>, notes: &mut Notes) {
    let (local, inline) = (resource.take("local"), resource.take("inline"));
    let contents = match (&local, &inline) {
        (_, Some(inline)) => inline.as_text().unwrap_or_default().as_bytes().to_vec(),
        (Some(local), None) => match context.files.read(local.as_text().unwrap_or_default()) {
            Ok(contents) => contents,
            Err(error) => return notes.error(&local.place, error),
        },
        (None, None) => return,
    };
    let is_local = inline.is_none();
    let Some(place) = inline.or(local).map(|said| said.place) else {
        return;
    };
    // inline ones are checked before the translation
    if is_local && context.spec.level >= 7 && place.path.starts_with("$.ignition.config") {
        match embedded::fault(&String::from_utf8_lossy(&contents)) {
            Some((Severity::Error, fault)) => notes.error(&place, fault),
            Some((Severity::Warning, fault)) => notes.warn(&place, fault),
            None => {}
        }
    }
    if context.spec.level == 0 {
        let url = escaped_url(&contents);
        return resource.set("source", Tree::text_of(&url, &place));
    }
    let made = data_url(
        &contents,
        resource.text("compression"),
        context.spec.compresses(),
    );
    resource.set("source", Tree::text_of(&made.url, &place));
    if let Some(compression) = made.compression {
        resource.set("compression", Tree::text_of(compression, &place));
    }
}

/// Adds the keys of local files, one a line.
fn ssh_keys(user: &mut Tree, context: Context<'_>, notes: &mut Notes) {
    let Some(locals) = user.take("ssh_authorized_keys_local") else {
        return;
    };
    let mut keys = Vec::new();
    for local in locals.items() {
        match context.files.read_text(local.as_text().unwrap_or_default()) {
            Ok(text) => keys.extend(
                // a `\r` that no `\n` follows is part of the key
                text.split_inclusive('\n')
                    .map(|line| match line.strip_suffix('\n') {
                        Some(line) => line.strip_suffix('\r').unwrap_or(line),
                        None => line,
                    })
                    .filter(|line| !line.is_empty())
                    .map(|line| Tree::text_of(line, &local.place)),
            ),
            Err(error) => notes.error(&local.place, error),
        }
    }
    if keys.is_empty() {
        return;
    }
    if let Some(Tree {
        data: Data::List(all),
        ..
    }) = user.get_or("sshAuthorizedKeys", || Data::List(Vec::new()))
    {
        all.append(&mut keys);
    }
}

fn unit_contents(unit: &mut Tree, context: Context<'_>, notes: &mut Notes) {
    let Some(local) = unit.take("contents_local") else {
        return;
    };
    let Some(path) = local.as_text().filter(|path| !path.is_empty()) else {
        return;
    };
    match context.files.read_text(path) {
        Ok(text) => unit.set("contents", Tree::text_of(&text, &local.place)),
        Err(error) => notes.error(&local.place, error),
    }
}
