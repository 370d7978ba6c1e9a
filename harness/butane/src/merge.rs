//! Two Ignition configs become one, as Ignition merges a child into its parent (`config/merge/merge.go`). Butane makes a parent of
//! what it generates, so that a config can override every bit of it.

use std::collections::{HashMap, HashSet};

use crate::field::{Emit, Field, Join, Key, Kind, Struct};
use crate::tree::{Data, Tree};

/// Merges `child` into `parent`; both are of type `kind`.
pub(crate) fn merge(parent: &Tree, child: &Tree, kind: &'static Struct, level: u8) -> Tree {
    let keys = ChildKeys::of(child, kind);
    let mut pairs = Vec::new();
    for field in kind.fields.iter().filter(|field| !field.json.is_empty()) {
        let (ours, theirs) = (parent.get(field.json), child.get(field.json));
        let merged = match (field.kind, ours, theirs) {
            (Kind::Texts | Kind::Many(_), ours, theirs) => list(field, ours, theirs, &keys, level),
            (Kind::One(kind), Some(ours), Some(theirs)) if !matches!(field.emit, Emit::PointerUntil(last) if level <= last) => {
                Some(merge(ours, theirs, kind, level))
            }
            // what is no pointer in Go is the child's even if it is empty
            (_, _, theirs) if !is_pointer(field, level) => theirs.cloned(),
            (_, ours, theirs) => theirs.or(ours).cloned(),
        };
        if let Some(merged) = merged {
            pairs.push((field.json, merged));
        }
    }
    Tree::map_of(pairs, &child.place)
}

fn is_pointer(field: &Field, level: u8) -> bool {
    match field.emit {
        Emit::IfSet | Emit::PointerUntil(_) => true,
        Emit::AlwaysUntil(last) => level > last,
        Emit::Always => matches!(field.kind, Kind::One(_)),
        Emit::IfNotZero => false,
    }
}

/// What tells an entry of a list apart from the others.
pub(crate) fn key_of(item: &Tree, kind: Kind) -> String {
    let key = match kind {
        Kind::Many(kind) => kind.key,
        _ => return item.as_text().unwrap_or_default().to_owned(),
    };
    match key {
        Key::Of(name) => item.text(name).unwrap_or_default().to_owned(),
        Key::Partition => match (item.int("number"), item.text("label")) {
            (Some(number), _) if number != 0 => format!("number:{number}"),
            (_, Some(label)) => format!("label:{label}"),
            _ => String::new(),
        },
    }
}

/// Which of its lists an entry of the child stands in, by key.
struct ChildKeys {
    own: HashMap<(&'static str, String), usize>,
    shared: HashMap<String, &'static str>,
}

impl ChildKeys {
    fn of(child: &Tree, kind: &'static Struct) -> ChildKeys {
        let mut keys = ChildKeys {
            own: HashMap::new(),
            shared: HashMap::new(),
        };
        for field in kind.fields {
            if field.join == Join::Appended {
                continue;
            }
            for (index, item) in child.list(field.json).iter().enumerate() {
                let key = key_of(item, field.kind);
                if field.join == Join::BySharedKey {
                    keys.shared.insert(key.clone(), field.json);
                }
                keys.own.insert((field.json, key), index);
            }
        }
        keys
    }
}

fn list(
    field: &Field,
    parent: Option<&Tree>,
    child: Option<&Tree>,
    keys: &ChildKeys,
    level: u8,
) -> Option<Tree> {
    let place = &child.or(parent)?.place;
    let ours = parent.map_or(&[][..], Tree::items);
    let theirs = child.map_or(&[][..], Tree::items);
    if field.join == Join::Appended {
        return Some(Tree::list_of([ours, theirs].concat(), place));
    }
    let mut items = Vec::new();
    let mut taken = HashSet::new();
    for item in ours {
        let key = key_of(item, field.kind);
        match keys.own.get(&(field.json, key.clone())) {
            Some(&index) => match (field.kind, theirs.get(index)) {
                // a header without a value removes the parent's
                (Kind::Many(_), Some(other))
                    if field.json == "httpHeaders" && other.get("value").is_none() => {}
                (Kind::Many(kind), Some(other)) => items.push(merge(item, other, kind, level)),
                (_, Some(other)) => items.push(other.clone()),
                (_, None) => {}
            },
            // another list of the child has it
            None if field.join == Join::BySharedKey && keys.shared.contains_key(&key) => {}
            None => items.push(item.clone()),
        }
        taken.insert(key);
    }
    for item in theirs {
        if !taken.contains(&key_of(item, field.kind)) {
            items.push(item.clone());
        }
    }
    Some(Tree::new(Data::List(items), place))
}
