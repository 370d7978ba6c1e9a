//! A config between YAML and JSON: values of known types that know where they were written.

use std::rc::Rc;

/// Where in the Butane config something was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub line: usize,
    pub column: usize,
    /// As Butane writes it: `$.storage.files.0.path`.
    pub path: Rc<str>,
}

impl Place {
    /// The place of a key below that is not there itself: the path goes on, the line is that of what holds it.
    pub(crate) fn below(&self, key: impl std::fmt::Display) -> Place {
        Place {
            line: self.line,
            column: self.column,
            path: format!("{}.{key}", self.path).into(),
        }
    }

    /// The same path at another place of the text.
    pub(crate) fn at(&self, line: usize, column: usize) -> Place {
        Place {
            line,
            column,
            path: self.path.clone(),
        }
    }
}

/// A value and where it came from.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    pub data: Data,
    pub place: Place,
}

/// A value.
#[derive(Clone, Debug)]
pub(crate) enum Data {
    Text(Rc<str>),
    Int(i64),
    Bool(bool),
    List(Vec<Tree>),
    /// The keys are those of the schema.
    Map(Vec<(&'static str, Tree)>),
    /// The keys are the config's own.
    Labels(Vec<(String, Tree)>),
}

impl Tree {
    pub(crate) fn new(data: Data, place: &Place) -> Tree {
        Tree {
            data,
            place: place.clone(),
        }
    }

    pub(crate) fn text_of(text: &str, place: &Place) -> Tree {
        Tree::new(Data::Text(text.into()), place)
    }

    pub(crate) fn bool_of(is: bool, place: &Place) -> Tree {
        Tree::new(Data::Bool(is), place)
    }

    pub(crate) fn int_of(is: i64, place: &Place) -> Tree {
        Tree::new(Data::Int(is), place)
    }

    pub(crate) fn map_of(pairs: Vec<(&'static str, Tree)>, place: &Place) -> Tree {
        Tree::new(Data::Map(pairs), place)
    }

    pub(crate) fn list_of(items: Vec<Tree>, place: &Place) -> Tree {
        Tree::new(Data::List(items), place)
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Tree> {
        match &self.data {
            Data::Map(pairs) => pairs
                .iter()
                .find(|(name, _)| *name == key)
                .map(|(_, value)| value),
            _ => None,
        }
    }

    /// The value at the end of several keys.
    pub(crate) fn at(&self, keys: &[&str]) -> Option<&Tree> {
        keys.iter().try_fold(self, |tree, key| tree.get(key))
    }

    /// The value of a key, to change it.
    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Tree> {
        match &mut self.data {
            Data::Map(pairs) => pairs
                .iter_mut()
                .find(|(name, _)| *name == key)
                .map(|(_, value)| value),
            _ => None,
        }
    }

    /// The value of a key, made empty by `make` if it is missing. Only for mappings: of anything else nothing comes.
    pub(crate) fn get_or(&mut self, key: &'static str, make: fn() -> Data) -> Option<&mut Tree> {
        let place = self.place.clone();
        let Data::Map(pairs) = &mut self.data else {
            return None;
        };
        let index = pairs
            .iter()
            .position(|(name, _)| *name == key)
            .unwrap_or_else(|| {
                pairs.push((key, Tree::new(make(), &place)));
                pairs.len() - 1
            });
        pairs.get_mut(index).map(|(_, value)| value)
    }

    /// Sets a key of a mapping.
    pub(crate) fn set(&mut self, key: &'static str, value: Tree) {
        match self.get_mut(key) {
            Some(old) => *old = value,
            None => {
                if let Data::Map(pairs) = &mut self.data {
                    pairs.push((key, value));
                }
            }
        }
    }

    /// Takes a key out of a mapping.
    pub(crate) fn take(&mut self, key: &str) -> Option<Tree> {
        match &mut self.data {
            Data::Map(pairs) => {
                let index = pairs.iter().position(|(name, _)| *name == key)?;
                Some(pairs.remove(index).1)
            }
            _ => None,
        }
    }

    /// The place of a key, whether it is there or not.
    pub(crate) fn place_of(&self, key: &str) -> Place {
        match self.get(key) {
            Some(value) => value.place.clone(),
            None => self.place.below(snake(key)),
        }
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.data {
            Data::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text of a key.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Tree::as_text)
    }

    /// The text of a key unless it is empty.
    pub(crate) fn filled(&self, key: &str) -> Option<&str> {
        self.text(key).filter(|text| !text.is_empty())
    }

    pub(crate) fn int(&self, key: &str) -> Option<i64> {
        match self.get(key)?.data {
            Data::Int(is) => Some(is),
            _ => None,
        }
    }

    pub(crate) fn bool(&self, key: &str) -> Option<bool> {
        match self.get(key)?.data {
            Data::Bool(is) => Some(is),
            _ => None,
        }
    }

    /// Whether a key says `true`.
    pub(crate) fn is_true(&self, key: &str) -> bool {
        self.bool(key) == Some(true)
    }

    pub(crate) fn items(&self) -> &[Tree] {
        match &self.data {
            Data::List(items) => items,
            _ => &[],
        }
    }

    /// The entries of the list of a key.
    pub(crate) fn list(&self, key: &str) -> &[Tree] {
        self.get(key).map_or(&[], Tree::items)
    }

    /// The entries of the list at the end of several keys.
    pub(crate) fn list_at(&self, keys: &[&str]) -> &[Tree] {
        self.at(keys).map_or(&[], Tree::items)
    }

    /// Whether this is an empty list, or a mapping of nothing but such: Butane leaves those out.
    pub(crate) fn is_empty(&self) -> bool {
        match &self.data {
            Data::Text(_) | Data::Int(_) | Data::Bool(_) => false,
            Data::List(items) => items.is_empty(),
            Data::Map(pairs) => pairs.iter().all(|(_, value)| value.is_empty()),
            Data::Labels(pairs) => pairs.is_empty(),
        }
    }
}

/// Ignition's `sizeMiB` as Butane's `size_mib`.
pub(crate) fn snake(camel: &str) -> String {
    let mut snake = String::with_capacity(camel.len() + 4);
    for char in camel.replace("MiB", "_mib").chars() {
        if char.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(char.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_from_ignition_to_butane() {
        for (camel, expected) in [
            ("sizeMiB", "size_mib"),
            ("typeGuid", "type_guid"),
            ("httpHeaders", "http_headers"),
            ("path", "path"),
        ] {
            assert_eq!(snake(camel), expected);
        }
    }
}
