//! Directory trees of local files (`storage.trees`).

use std::collections::HashMap;
use std::fs::Metadata;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::data_url::data_url;
use crate::desugar::Context;
use crate::notes::Notes;
use crate::tree::{Data, Place, Tree};

/// How deep a tree may nest, so that its walk ends before the stack does.
const DEEPEST: usize = 256;

/// Adds the files, links and, where they are more than plain, directories of the trees to the config.
pub(crate) fn embed(trees: &Tree, config: &mut Tree, context: Context<'_>, notes: &mut Notes) {
    if trees.items().is_empty() {
        return;
    }
    let Some(storage) = config.get_or("storage", || Data::Map(Vec::new())) else {
        return;
    };
    let mut nodes = Nodes::of(storage);
    for tree in trees.items() {
        let place = &tree.place;
        let base = match context.files.path(tree.text("local").unwrap_or_default()) {
            Ok(base) => base,
            Err(error) => {
                notes.error(place, error);
                continue;
            }
        };
        let wrong = match std::fs::metadata(&base) {
            Ok(metadata) if metadata.is_dir() => None,
            Ok(_) => Some(format!("tree {} is not a directory", base.display())),
            Err(error) => Some(format!("tree {} cannot be read: {error}", base.display())),
        };
        if let Some(wrong) = wrong {
            notes.error(place, wrong);
            continue;
        }
        let mut walk = Walk {
            tree,
            context,
            notes,
            nodes: &mut nodes,
        };
        let target = tree.filled("path").unwrap_or("/");
        walk.node(&base, &clean(target), 0);
    }
    nodes.write(storage);
}

/// The files, directories and links of a config, by path.
struct Nodes {
    lists: [(&'static str, Vec<Tree>); 3],
    index: HashMap<String, (usize, usize)>,
}

const DIRECTORIES: usize = 0;
const FILES: usize = 1;
const LINKS: usize = 2;

impl Nodes {
    fn of(storage: &mut Tree) -> Nodes {
        let mut nodes = Nodes {
            lists: [
                ("directories", Vec::new()),
                ("files", Vec::new()),
                ("links", Vec::new()),
            ],
            index: HashMap::new(),
        };
        for list in 0..nodes.lists.len() {
            let Some(Tree {
                data: Data::List(items),
                ..
            }) = storage.take(nodes.lists[list].0)
            else {
                continue;
            };
            for item in items {
                nodes.add(list, item);
            }
        }
        nodes
    }

    fn add(&mut self, list: usize, item: Tree) -> (usize, usize) {
        let items = &mut self.lists[list].1;
        let path = item.text("path").unwrap_or_default().to_owned();
        items.push(item);
        let at = (list, items.len() - 1);
        self.index.insert(path, at);
        at
    }

    fn write(self, storage: &mut Tree) {
        let place = storage.place.clone();
        for (name, items) in self.lists {
            if !items.is_empty() {
                storage.set(name, Tree::list_of(items, &place));
            }
        }
    }
}

struct Walk<'a, 'b> {
    tree: &'a Tree,
    context: Context<'b>,
    notes: &'a mut Notes,
    nodes: &'a mut Nodes,
}

impl Walk<'_, '_> {
    fn place(&self) -> Place {
        self.tree.place.clone()
    }

    fn error(&mut self, message: String) {
        let place = self.place();
        self.notes.error(&place, message);
    }

    /// Takes in a file, link or directory, and what is in it in the order of its names.
    fn node(&mut self, source: &Path, target: &str, depth: usize) {
        let metadata = match source.symlink_metadata() {
            Ok(metadata) => metadata,
            Err(error) => {
                return self.error(format!("{} cannot be read: {error}", source.display()));
            }
        };
        if metadata.is_dir() {
            self.directory(source, target, depth);
        } else if metadata.is_file() {
            self.file(source, target, &metadata);
        } else if metadata.is_symlink() {
            self.link(source, target);
        } else {
            self.error(format!(
                "{} is neither a file nor a directory nor a symbolic link",
                source.display()
            ));
        }
    }

    fn directory(&mut self, source: &Path, target: &str, depth: usize) {
        let tree = self.tree;
        let is_plain = ["dir_mode", "user", "group"]
            .iter()
            .all(|key| tree.get(key).is_none_or(Tree::is_empty));
        if !is_plain {
            if self.nodes.index.contains_key(target) {
                self.taken(target);
            } else {
                let mut directory = self.owned(target);
                let mode = tree.int("dir_mode").unwrap_or(0o755);
                directory.set("mode", Tree::int_of(mode, &self.place()));
                self.nodes.add(DIRECTORIES, directory);
            }
        }
        if depth >= DEEPEST {
            return self.error(format!(
                "{} nests more than {DEEPEST} deep",
                source.display()
            ));
        }
        let entries = std::fs::read_dir(source).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let mut names: Vec<_> = match entries {
            Ok(entries) => entries.iter().map(std::fs::DirEntry::file_name).collect(),
            Err(error) => {
                return self.error(format!("{} cannot be read: {error}", source.display()));
            }
        };
        names.sort();
        for name in names {
            let Some(text) = name.to_str() else {
                self.error(format!(
                    "the name of {} is not UTF-8",
                    source.join(&name).display()
                ));
                continue;
            };
            let target = format!("{}/{text}", target.trim_end_matches('/'));
            self.node(&source.join(text), &target, depth + 1);
        }
    }

    fn file(&mut self, source: &Path, target: &str, metadata: &Metadata) {
        let Some(at) = self.existing(FILES, target, "source", |file| file.get("contents")) else {
            return;
        };
        let contents = match std::fs::read(source) {
            Ok(contents) => contents,
            Err(error) => {
                return self.error(format!("{} cannot be read: {error}", source.display()));
            }
        };
        let place = self.place();
        let file = &mut self.nodes.lists[FILES].1[at];
        let compression = file
            .get("contents")
            .and_then(|contents| contents.text("compression"));
        let made = data_url(&contents, compression, self.context.spec.compresses());
        if let Some(contents) = file.get_or("contents", || Data::Map(Vec::new())) {
            contents.set("source", Tree::text_of(&made.url, &place));
            if let Some(compression) = made.compression {
                contents.set("compression", Tree::text_of(compression, &place));
            }
        }
        if file.get("mode").is_none() {
            let executable = metadata.permissions().mode() & 0o111 != 0;
            let own = if executable { 0o755 } else { 0o644 };
            let mode = self.tree.int("file_mode").unwrap_or(own);
            file.set("mode", Tree::int_of(mode, &place));
        }
    }

    fn link(&mut self, source: &Path, target: &str) {
        let Some(at) = self.existing(LINKS, target, "target", |link| Some(link)) else {
            return;
        };
        let points_to = match std::fs::read_link(source) {
            Ok(points_to) => points_to,
            Err(error) => {
                return self.error(format!("{} cannot be read: {error}", source.display()));
            }
        };
        let Some(text) = points_to.to_str() else {
            return self.error(format!("the target of {} is not UTF-8", source.display()));
        };
        let place = self.place();
        self.nodes.lists[LINKS].1[at].set("target", Tree::text_of(text, &place));
    }

    /// The entry of a path in a list, made if there is none yet. None, with an error, if the path is taken by another kind of entry or
    /// by one that says its contents itself.
    fn existing(
        &mut self,
        list: usize,
        target: &str,
        contents: &str,
        holder: fn(&Tree) -> Option<&Tree>,
    ) -> Option<usize> {
        match self.nodes.index.get(target) {
            None => {
                let owned = self.owned(target);
                Some(self.nodes.add(list, owned).1)
            }
            Some(&(other, index)) => {
                let item = &self.nodes.lists[other].1[index];
                if other == list
                    && holder(item).is_none_or(|holder| holder.filled(contents).is_none())
                {
                    Some(index)
                } else {
                    self.taken(target);
                    None
                }
            }
        }
    }

    fn taken(&mut self, target: &str) {
        self.error(format!(
            "the tree has {target}, which the config gives other contents or another type"
        ));
    }

    /// A new entry with the tree's owner.
    fn owned(&self, target: &str) -> Tree {
        let place = self.place();
        let mut pairs = vec![("path", Tree::text_of(target, &place))];
        for key in ["user", "group"] {
            if let Some(owner) = self.tree.get(key) {
                pairs.push((key, owner.clone()));
            }
        }
        Tree::map_of(pairs, &place)
    }
}

/// The path without empty parts, `.` and `..`, as Go's `path.Join` leaves it.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let rooted = path.starts_with('/');
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    if rooted { format!("/{joined}") } else { joined }
}
