//! The numbers of a value, one by one.

use std::fmt::Write as _;

use super::Value;

/// Iterator over the numbers below a value, from [`Value::leaves`].
#[derive(Debug)]
pub struct Leaves<'a> {
    /// Open values: the value, the next child to visit, and the length of its path.
    stack: Vec<(&'a Value, usize, usize)>,
    path: String,
    left: usize,
}

impl<'a> Leaves<'a> {
    pub(super) fn new(root: &'a Value, limit: usize) -> Self {
        Self { stack: vec![(root, 0, 0)], path: String::new(), left: limit }
    }

    /// Makes `path` end in the child's index.
    fn index(&mut self, length: usize, child: usize) {
        self.path.truncate(length);
        // Writing to a String cannot fail.
        let _ = write!(self.path, "[{child}]");
    }
}

impl Iterator for Leaves<'_> {
    type Item = (String, f64);

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        while let Some((value, child, length)) = self.stack.pop() {
            match value {
                Value::Struct(fields) => {
                    let Some((name, inner)) = fields.get(child) else { continue };
                    self.stack.push((value, child + 1, length));
                    self.path.truncate(length);
                    if length > 0 {
                        self.path.push('.');
                    }
                    self.path.push_str(name);
                    self.stack.push((inner, 0, self.path.len()));
                }
                Value::List(items) => {
                    let Some(inner) = items.get(child) else { continue };
                    self.stack.push((value, child + 1, length));
                    self.index(length, child);
                    self.stack.push((inner, 0, self.path.len()));
                }
                Value::Floats(items) => {
                    let Some(x) = items.get(child) else { continue };
                    self.stack.push((value, child + 1, length));
                    self.index(length, child);
                    self.left -= 1;
                    return Some((self.path.clone(), *x));
                }
                scalar => {
                    if let Some(x) = scalar.as_f64() {
                        self.left -= 1;
                        return Some((self.path.clone(), x));
                    }
                }
            }
        }
        None
    }
}
