//! Regular expressions as docker's `id` and `name` filters take them: literals, `.`, sets, groups, `|`, `*`,
//! `+`, `?`, `^` and `$`. Matching takes at most (pattern × text²) steps.

use std::collections::BTreeSet;

/// Longer expressions are refused: parsing and matching recurse into groups.
const LONGEST: usize = 1024;

/// A parsed expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(Node);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    /// One character; `negated` turns the set around.
    Set {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
    Start,
    End,
    Sequence(Vec<Node>),
    Either(Vec<Node>),
    Repeat {
        node: Box<Node>,
        least: usize,
        most: usize,
    },
}

impl Pattern {
    /// Parses an expression; `None` where it is none, or uses what is not understood here.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let mut parser = Parser { rest: text.chars().collect::<Vec<_>>().into_iter().peekable() };
        let node = parser.either()?;
        parser.rest.next().is_none().then_some(Self(node))
    }

    /// Says whether the expression matches anywhere in the text.
    pub(super) fn is_match(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        !ends(&self.0, &text, &(0..=text.len()).collect()).is_empty()
    }
}

/// Where matches end that begin at one of `starts`.
fn ends(node: &Node, text: &[char], starts: &BTreeSet<usize>) -> BTreeSet<usize> {
    match node {
        Node::Set { negated, ranges } => {
            let has = |c: char| ranges.iter().any(|&(first, last)| (first..=last).contains(&c)) != *negated;
            let matches = |&at: &usize| text.get(at).is_some_and(|&c| has(c)).then_some(at + 1);
            starts.iter().filter_map(matches).collect()
        }
        Node::Start => starts.iter().copied().filter(|&at| at == 0).collect(),
        Node::End => starts.iter().copied().filter(|&at| at == text.len()).collect(),
        Node::Sequence(nodes) => nodes.iter().fold(starts.clone(), |at, node| ends(node, text, &at)),
        Node::Either(nodes) => nodes.iter().flat_map(|node| ends(node, text, starts)).collect(),
        Node::Repeat { node, least, most } => {
            let mut reached = if *least == 0 { starts.clone() } else { BTreeSet::new() };
            let mut frontier = starts.clone();
            // One more round than there are characters reaches nothing new.
            for round in 1..=(*most).min(text.len() + 1) {
                frontier = ends(node, text, &frontier);
                if frontier.is_empty() || round >= *least && frontier.is_subset(&reached) {
                    break;
                }
                if round >= *least {
                    reached.extend(&frontier);
                }
            }
            reached
        }
    }
}

struct Parser {
    rest: std::iter::Peekable<std::vec::IntoIter<char>>,
}

impl Parser {
    fn either(&mut self) -> Option<Node> {
        let mut nodes = vec![self.sequence()?];
        while self.rest.next_if_eq(&'|').is_some() {
            nodes.push(self.sequence()?);
        }
        Some(Node::Either(nodes))
    }

    fn sequence(&mut self) -> Option<Node> {
        let mut nodes = Vec::new();
        while let Some(c) = self.rest.next_if(|c| !matches!(c, '|' | ')')) {
            let node = self.one(c)?;
            nodes.push(match self.rest.next_if(|c| matches!(c, '*' | '+' | '?')) {
                Some('*') => Node::Repeat { node: Box::new(node), least: 0, most: usize::MAX },
                Some('+') => Node::Repeat { node: Box::new(node), least: 1, most: usize::MAX },
                Some(_) => Node::Repeat { node: Box::new(node), least: 0, most: 1 },
                None => node,
            });
            // `a**` and `a{2}` are no part of this grammar.
            if self.rest.peek().is_some_and(|c| matches!(c, '*' | '+' | '?' | '{')) {
                return None;
            }
        }
        Some(Node::Sequence(nodes))
    }

    fn one(&mut self, c: char) -> Option<Node> {
        let literal = |c| Node::Set { negated: false, ranges: vec![(c, c)] };
        Some(match c {
            '^' => Node::Start,
            '$' => Node::End,
            '.' => Node::Set { negated: true, ranges: vec![('\n', '\n')] },
            '[' => self.set()?,
            '(' => {
                let node = self.either()?;
                self.rest.next_if_eq(&')')?;
                node
            }
            '\\' => match self.rest.next()? {
                'd' => Node::Set { negated: false, ranges: vec![('0', '9')] },
                'w' => {
                    Node::Set { negated: false, ranges: vec![('0', '9'), ('A', 'Z'), ('a', 'z'), ('_', '_')] }
                }
                c if c.is_alphanumeric() => return None,
                c => literal(c),
            },
            '*' | '+' | '?' | '{' => return None,
            c => literal(c),
        })
    }

    fn set(&mut self) -> Option<Node> {
        let negated = self.rest.next_if_eq(&'^').is_some();
        let mut ranges = Vec::new();
        loop {
            let first = match self.rest.next()? {
                ']' if !ranges.is_empty() => return Some(Node::Set { negated, ranges }),
                '\\' => self.rest.next()?,
                '[' if self.rest.peek() == Some(&':') => return None,
                c => c,
            };
            let last = match self.rest.next_if_eq(&'-') {
                None => first,
                Some(_) if self.rest.peek() == Some(&']') => {
                    ranges.push(('-', '-'));
                    first
                }
                Some(_) => self.rest.next()?,
            };
            if last < first {
                return None;
            }
            ranges.push((first, last));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_as_regular_expressions_do() {
        let cases = [
            ("web", "my_web_1", true),
            ("^web$", "web1", false),
            ("^/?web$", "web", true),
            ("", "anything", true),
            ("w.b", "wxb", true),
            ("w\\.b", "wxb", false),
            ("^a(b|cd)*e+$", "abcdbee", true),
            ("^a(b|cd)*e+$", "abcd", false),
            ("^[a-c_-]+[^0-9]$", "ab_-x", true),
            ("^[a-c_-]+[^0-9]$", "ab_-1", false),
            ("^(a*)*b$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac", false),
            ("\\d\\w", "a1_", true),
            ("colou?r", "color", true),
            ("(a?)+b", "b", true),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(
                Pattern::parse(pattern).map(|it| it.is_match(text)),
                Some(expected),
                "{pattern} {text}"
            );
        }
        for bad in ["(", ")", "*", "a**", "a{2}", "[", "[]", "[b-a]", "\\", "\\p", "a|*"] {
            assert_eq!(Pattern::parse(bad), None, "{bad}");
        }
    }
}
