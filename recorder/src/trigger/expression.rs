//! Compiles one CEL expression and finds which fields of which streams it reads, from its syntax tree.

use std::collections::BTreeMap;

use cel::{
    Env, IdedExpr, Program,
    common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, SelectExpr, operators},
};

use super::{
    TriggerError,
    mask::{Mask, Step},
    nesting,
};

/// Longest expression, bytes.
pub const EXPRESSION_BYTES_MAX: usize = 1024;
/// Deepest nesting of an expression's syntax tree.
pub const EXPRESSION_DEPTH_MAX: usize = 64;
/// Comprehensions (`all`, `exists`, `map`…) within comprehensions.
const COMPREHENSION_DEPTH_MAX: u32 = 2;
/// Longest regular expression, bytes: it is compiled at every evaluation.
const REGEX_BYTES_MAX: usize = 128;
/// Nodes of the syntax tree that one evaluation may visit, about 1 ms.
const STEPS_MAX: usize = 10_000;
/// Most values converted of a message for an expression without comprehensions.
const NODES_MAX: usize = 4096;

/// What may be called beside the operators.
const FUNCTIONS: [&str; 14] = [
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "has",
    "all",
    "exists",
    "exists_one",
    "map",
    "filter",
    "int",
    "uint",
    "double",
];
const MORE_FUNCTIONS: [&str; 4] = ["string", "bool", "dyn", "@not_strictly_false"];

/// A field that an expression reads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Read {
    /// The stream's identifier.
    pub(super) stream: String,
    /// From its message to the field.
    pub(super) steps: Vec<Step>,
}

/// A compiled expression.
#[derive(Debug)]
pub(super) struct Expression {
    pub(super) program: Program,
    /// What it needs of each stream, by identifier.
    pub(super) inputs: BTreeMap<String, Mask>,
    /// The fields it reads, each once, in order of name.
    pub(super) reads: Vec<Read>,
    /// Most values converted of one message, so that an evaluation stays bounded.
    pub(super) nodes_max: usize,
}

/// Streams by the identifier they have in expressions; more than one name where they clash.
pub(super) type Identifiers = BTreeMap<String, Vec<String>>;

impl Expression {
    pub(super) fn compile(env: &Env, trigger: &str, source: &str, streams: &Identifiers) -> Result<Self, TriggerError> {
        if source.len() > EXPRESSION_BYTES_MAX {
            return Err(TriggerError::TooLong { trigger: trigger.to_owned(), bytes: source.len() });
        }
        if let Some(at) = nesting::too_deep(source) {
            let (line, column) = line_and_column(source.get(..at).unwrap_or_default());
            return Err(TriggerError::TooDeep { trigger: trigger.to_owned(), line, column });
        }
        let program = env.compile(source).map_err(|errors| syntax_error(trigger, source, &errors))?;
        let mut analysis = Analysis::new(trigger, source, &program, streams);
        analysis.walk(program.expression(), 0)?;
        let Analysis { inputs, mut reads, nodes, nesting, .. } = analysis;
        if inputs.is_empty() {
            return Err(TriggerError::NoStream { trigger: trigger.to_owned(), known: names(streams) });
        }
        reads.sort_unstable();
        reads.dedup();
        Ok(Self { program, inputs, reads, nodes_max: nodes_max(nodes, nesting) })
    }
}

/// Elements that each of `nesting` nested loops may have when every element costs `nodes` steps.
fn nodes_max(nodes: usize, nesting: u32) -> usize {
    let rounds = STEPS_MAX / nodes.max(1);
    match nesting {
        0 => NODES_MAX,
        1 => rounds.max(16),
        _ => rounds.isqrt().max(8),
    }
}

struct Analysis<'a> {
    trigger: &'a str,
    source: &'a str,
    program: &'a Program,
    streams: &'a Identifiers,
    /// Variables of the comprehensions around, innermost last, and what they stand for where that is a field.
    scope: Vec<(&'a str, Option<Read>)>,
    inputs: BTreeMap<String, Mask>,
    reads: Vec<Read>,
    nodes: usize,
    /// Comprehensions around this node, and the most of any node.
    inside: u32,
    nesting: u32,
}

impl<'a> Analysis<'a> {
    fn new(trigger: &'a str, source: &'a str, program: &'a Program, streams: &'a Identifiers) -> Self {
        Self {
            trigger,
            source,
            program,
            streams,
            scope: Vec::new(),
            inputs: BTreeMap::new(),
            reads: Vec::new(),
            nodes: 0,
            inside: 0,
            nesting: 0,
        }
    }

    fn walk(&mut self, node: &'a IdedExpr, depth: usize) -> Result<(), TriggerError> {
        self.nodes += 1;
        if depth > EXPRESSION_DEPTH_MAX {
            let (line, column) = self.position(node);
            return Err(TriggerError::TooDeep { trigger: self.trigger.to_owned(), line, column });
        }
        if let Some(read) = self.field(node, depth)? {
            self.read(read, Mask::need_whole);
            return Ok(());
        }
        match &node.expr {
            // Names that are fields or variables were dealt with above.
            Expr::Unspecified | Expr::Literal(_) | Expr::Ident(_) => Ok(()),
            Expr::Select(select) => self.walk_select(select, depth),
            Expr::Call(call) => self.walk_call(node, call, depth),
            Expr::Comprehension(comprehension) => self.walk_comprehension(node, comprehension, depth),
            Expr::List(list) => list.elements.iter().try_for_each(|e| self.walk(e, depth + 1)),
            Expr::Map(map) => map.entries.iter().try_for_each(|e| self.walk_entry(&e.expr, depth + 1)),
            Expr::Struct(message) => message.entries.iter().try_for_each(|e| self.walk_entry(&e.expr, depth + 1)),
        }
    }

    fn walk_entry(&mut self, entry: &'a EntryExpr, depth: usize) -> Result<(), TriggerError> {
        match entry {
            EntryExpr::StructField(field) => self.walk(&field.value, depth),
            EntryExpr::MapEntry(entry) => {
                self.walk(&entry.key, depth)?;
                self.walk(&entry.value, depth)
            }
        }
    }

    fn walk_select(&mut self, select: &'a SelectExpr, depth: usize) -> Result<(), TriggerError> {
        // `has(a.b)`: only whether it is there.
        if select.test
            && let Some(mut read) = self.field(&select.operand, depth + 1)?
        {
            read.steps.push(Step::Field(select.field.clone()));
            self.read(read, Mask::need);
            return Ok(());
        }
        self.walk(&select.operand, depth + 1)
    }

    fn walk_call(&mut self, node: &'a IdedExpr, call: &'a CallExpr, depth: usize) -> Result<(), TriggerError> {
        let in_math = call.target.as_ref().is_some_and(|t| matches!(&t.expr, Expr::Ident(name) if name == "math"));
        self.check_function(node, call, in_math)?;
        let targets = call.target.as_deref().filter(|_| !in_math);
        if let ("size", [one]) =
            (call.func_name.as_str(), targets.into_iter().chain(&call.args).collect::<Vec<_>>().as_slice())
            && let Some(mut read) = self.field(one, depth + 1)?
        {
            // The size of a list needs its elements, but nothing of them; of text and octets all.
            self.read(read.clone(), Mask::need_text);
            read.steps.push(Step::Each);
            self.read(read, Mask::need);
            return Ok(());
        }
        for name in self.compared_with_text(call, depth)? {
            self.read(name, Mask::need_text);
        }
        for part in targets.into_iter().chain(&call.args) {
            self.walk(part, depth + 1)?;
        }
        Ok(())
    }

    /// The fields that a comparison sets against literal text: `a.b == "X"`, `a.b in ["X", "Y"]`.
    fn compared_with_text(&mut self, call: &'a CallExpr, depth: usize) -> Result<Vec<Read>, TriggerError> {
        let [a, b] = call.args.as_slice() else { return Ok(Vec::new()) };
        let fields = match call.func_name.as_str() {
            operators::EQUALS | operators::NOT_EQUALS if is_text(b) => [Some(a), None],
            operators::EQUALS | operators::NOT_EQUALS if is_text(a) => [Some(b), None],
            operators::IN if matches!(&b.expr, Expr::List(list) if list.elements.iter().any(is_text)) => {
                [Some(a), None]
            }
            operators::IN if is_text(a) => [None, Some(b)],
            _ => [None, None],
        };
        fields.into_iter().flatten().filter_map(|f| self.field(f, depth + 1).transpose()).collect()
    }

    fn check_function(&self, node: &IdedExpr, call: &CallExpr, in_math: bool) -> Result<(), TriggerError> {
        let name = call.func_name.as_str();
        let known = in_math
            || name.starts_with("math.@")
            || name.contains('_') && !name.starts_with(|c: char| c.is_ascii_alphabetic())
            || matches!(name, operators::LOGICAL_NOT | operators::NEGATE | operators::IN)
            || FUNCTIONS.contains(&name)
            || MORE_FUNCTIONS.contains(&name);
        let (line, column) = self.position(node);
        if !known {
            let (trigger, function) = (self.trigger.to_owned(), name.to_owned());
            return Err(TriggerError::UnknownFunction { trigger, function, line, column });
        }
        if name == "matches" && !call.args.last().is_some_and(is_short_text) {
            return Err(TriggerError::Regex { trigger: self.trigger.to_owned(), line, column });
        }
        Ok(())
    }

    fn walk_comprehension(
        &mut self,
        node: &'a IdedExpr,
        comprehension: &'a ComprehensionExpr,
        depth: usize,
    ) -> Result<(), TriggerError> {
        let range = self.field(&comprehension.iter_range, depth + 1)?;
        let item = match range {
            Some(mut range) => {
                range.steps.push(Step::Each);
                self.read(range.clone(), Mask::need);
                Some(range)
            }
            None => {
                self.walk(&comprehension.iter_range, depth + 1)?;
                None
            }
        };
        self.walk(&comprehension.accu_init, depth + 1)?;
        self.inside += 1;
        self.nesting = self.nesting.max(self.inside);
        if self.inside > COMPREHENSION_DEPTH_MAX {
            let (line, column) = self.position(node);
            return Err(TriggerError::TooDeep { trigger: self.trigger.to_owned(), line, column });
        }
        let outer = self.scope.len();
        // With two variables the first is the number or the key.
        let (first, second) = match &comprehension.iter_var2 {
            Some(second) => (None, Some((second.as_str(), item))),
            None => (item, None),
        };
        self.scope.push((&comprehension.iter_var, first));
        self.scope.extend(second);
        self.scope.push((&comprehension.accu_var, None));
        self.walk(&comprehension.loop_cond, depth + 1)?;
        self.walk(&comprehension.loop_step, depth + 1)?;
        self.inside -= 1;
        self.walk(&comprehension.result, depth + 1)?;
        self.scope.truncate(outer);
        Ok(())
    }

    /// The field that `node` names, if it names one: selections and numbered elements from a stream or from a variable
    /// that stands for a field. Numbers that are computed stand for every element, and what they read is walked.
    fn field(&mut self, node: &'a IdedExpr, depth: usize) -> Result<Option<Read>, TriggerError> {
        if depth > EXPRESSION_DEPTH_MAX {
            let (line, column) = self.position(node);
            return Err(TriggerError::TooDeep { trigger: self.trigger.to_owned(), line, column });
        }
        match &node.expr {
            Expr::Ident(name) => {
                if let Some((_, bound)) = self.scope.iter().rev().find(|(var, _)| var == name) {
                    return Ok(bound.clone());
                }
                self.stream(node, name).map(Some)
            }
            Expr::Select(select) if !select.test => {
                let Some(mut read) = self.field(&select.operand, depth + 1)? else { return Ok(None) };
                read.steps.push(Step::Field(select.field.clone()));
                Ok(Some(read))
            }
            Expr::Call(call) if call.func_name == operators::INDEX => {
                let [of, index] = call.args.as_slice() else { return Ok(None) };
                let Some(mut read) = self.field(of, depth + 1)? else { return Ok(None) };
                read.steps.push(match &index.expr {
                    Expr::Literal(LiteralValue::Int(i)) if *i.inner() >= 0 => {
                        usize::try_from(*i.inner()).map_or(Step::Each, Step::Element)
                    }
                    Expr::Literal(LiteralValue::String(name)) => Step::Field(name.inner().to_owned()),
                    _ => {
                        self.walk(index, depth + 1)?;
                        Step::Each
                    }
                });
                Ok(Some(read))
            }
            _ => Ok(None),
        }
    }

    fn stream(&self, node: &IdedExpr, name: &str) -> Result<Read, TriggerError> {
        let trigger = || self.trigger.to_owned();
        let (line, column) = self.position(node);
        match self.streams.get(name.trim_start_matches('.')).map(Vec::as_slice) {
            Some([_]) => Ok(Read { stream: name.trim_start_matches('.').to_owned(), steps: Vec::new() }),
            Some(streams) => Err(TriggerError::AmbiguousStream {
                trigger: trigger(),
                name: name.to_owned(),
                streams: streams.to_vec(),
                line,
                column,
            }),
            None => Err(TriggerError::UnknownStream {
                trigger: trigger(),
                name: name.to_owned(),
                line,
                column,
                known: names(self.streams),
            }),
        }
    }

    fn read(&mut self, read: Read, need: impl Fn(&mut Mask, &[Step])) {
        need(self.inputs.entry(read.stream.clone()).or_default(), &read.steps);
        self.reads.push(read);
    }

    fn position(&self, node: &IdedExpr) -> (usize, usize) {
        let at = self.program.source_info().offset_for(node.id).map_or(0, |(start, _)| start as usize);
        line_and_column(self.source.get(..at).unwrap_or_default())
    }
}

/// The place right after `before`, counted in characters from 1.
fn line_and_column(before: &str) -> (usize, usize) {
    let line_start = before.rfind('\n').map_or(0, |i| i + 1);
    (before.matches('\n').count() + 1, before.get(line_start..).unwrap_or_default().chars().count() + 1)
}

fn is_text(node: &IdedExpr) -> bool {
    matches!(&node.expr, Expr::Literal(LiteralValue::String(_)))
}

fn is_short_text(node: &IdedExpr) -> bool {
    matches!(&node.expr, Expr::Literal(LiteralValue::String(text)) if text.inner().len() <= REGEX_BYTES_MAX)
}

/// The streams as expressions call them, shortened.
fn names(streams: &Identifiers) -> String {
    const SHOWN: usize = 24;
    let mut text = streams.keys().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if streams.len() > SHOWN {
        text.push_str(", …");
    }
    text
}

fn syntax_error(trigger: &str, source: &str, errors: &cel::ParseErrors) -> TriggerError {
    let first = errors.errors.first();
    let (line, column) = first.map_or((1, 1), |e| {
        (usize::try_from(e.pos.0).unwrap_or(1).max(1), usize::try_from(e.pos.1).unwrap_or(1).max(1))
    });
    TriggerError::Syntax {
        trigger: trigger.to_owned(),
        line,
        column,
        message: first.map_or_else(|| "not an expression".to_owned(), |e| e.msg.chars().take(200).collect()),
        snippet: source.lines().nth(line - 1).unwrap_or_default().to_owned(),
    }
}
