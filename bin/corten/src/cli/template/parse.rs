//! The grammar: text and actions, actions of pipelines, pipelines of commands.

use serde_json::{Number, Value};

use super::TemplateError;
use super::functions;

/// A piece of a template.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Text(String),
    Print(Pipe),
    Set(String, Pipe),
    /// With the name of `if $x := …`.
    If(Option<String>, Pipe, Vec<Self>, Vec<Self>),
    With(Option<String>, Pipe, Vec<Self>, Vec<Self>),
    /// The names of `$index, $element`.
    Range(Vec<String>, Pipe, Vec<Self>, Vec<Self>),
}

/// Commands joined by `|`.
#[derive(Debug, Clone)]
pub(super) struct Pipe {
    pub(super) commands: Vec<Call>,
}

/// One command: an operand with arguments.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) words: Vec<Operand>,
}

/// A value in a command, with where it stands and how it is written, for errors.
#[derive(Debug, Clone)]
pub(super) struct Operand {
    pub(super) what: What,
    /// Names after it: `.A.B` of dot, of a variable, of parentheses.
    pub(super) fields: Vec<String>,
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) text: String,
}

#[derive(Debug, Clone)]
pub(super) enum What {
    Dot,
    Variable(String),
    Literal(Value),
    Function(String),
    Pipe(Pipe),
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Field(String),
    Dot,
    Variable(String),
    Word(String),
    Literal(Value, String),
    Open,
    Close,
    Bar,
    Comma,
    Declare,
    Space,
}

struct Placed {
    token: Token,
    /// Byte offset in the template.
    at: usize,
}

/// What ended a list of nodes.
enum End {
    Eof,
    Word,
    /// With what follows the `else`.
    Else(Vec<Placed>),
}

struct Parser<'a> {
    source: &'a str,
    at: usize,
    variables: Vec<String>,
    trim: bool,
}

pub(super) fn parse(source: &str) -> Result<Vec<Node>, TemplateError> {
    let mut parser = Parser { source, at: 0, variables: vec!["$".to_owned()], trim: false };
    let (nodes, end) = parser.nodes()?;
    match end {
        End::Eof => Ok(nodes),
        End::Word => Err(parser.error("unexpected {{end}}")),
        End::Else(_) => Err(parser.error("unexpected {{else}}")),
    }
}

impl Parser<'_> {
    fn error(&self, reason: &str) -> TemplateError {
        let before = self.source.get(..self.at).unwrap_or(self.source);
        let line = before.matches('\n').count() + 1;
        TemplateError(format!("template: :{line}: {reason}"))
    }

    fn place(&self, at: usize) -> (usize, usize) {
        let before = self.source.get(..at).unwrap_or_default();
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, at - start)
    }

    fn nodes(&mut self) -> Result<(Vec<Node>, End), TemplateError> {
        let mut nodes = Vec::new();
        loop {
            let rest = &self.source[self.at..];
            let (text, found) = match rest.find("{{") {
                Some(start) => (&rest[..start], true),
                None => (rest, false),
            };
            let mut text = text;
            if std::mem::take(&mut self.trim) {
                text = text.trim_start();
            }
            let opening = rest.find("{{").map_or("", |start| &rest[start + 2..]);
            if opening.starts_with('-') && opening[1..].starts_with(char::is_whitespace) {
                text = text.trim_end();
            }
            if !text.is_empty() {
                nodes.push(Node::Text(text.to_owned()));
            }
            if !found {
                self.at = self.source.len();
                return Ok((nodes, End::Eof));
            }
            let Some(tokens) = self.action()? else { continue };
            match self.statement(tokens)? {
                Statement::Node(node) => nodes.push(node),
                Statement::End => return Ok((nodes, End::Word)),
                Statement::Else(rest) => return Ok((nodes, End::Else(rest))),
            }
        }
    }

    /// Reads one `{{…}}` whole; a comment is none.
    fn action(&mut self) -> Result<Option<Vec<Placed>>, TemplateError> {
        self.at += self.source[self.at..].find("{{").unwrap_or(0) + 2;
        let rest = &self.source[self.at..];
        if rest.starts_with('-') && rest[1..].starts_with(char::is_whitespace) {
            self.at += 2;
        }
        if self.source[self.at..].starts_with("/*") {
            let Some(end) = self.source[self.at..].find("*/") else {
                return Err(self.error("unclosed comment"));
            };
            self.at += end + 2;
            self.trim = self.source[self.at..].trim_start().starts_with("-}}");
            let Some(close) = self.source[self.at..].find("}}") else {
                return Err(self.error("comment ends before closing delimiter"));
            };
            self.at += close + 2;
            return Ok(None);
        }
        let mut tokens = Vec::new();
        loop {
            let rest = &self.source[self.at..];
            if rest.starts_with("}}") {
                self.at += 2;
                return Ok(Some(tokens));
            }
            let trimmed = rest.trim_start();
            if trimmed.starts_with("-}}") && trimmed.len() < rest.len() {
                self.at += rest.len() - trimmed.len() + 3;
                self.trim = true;
                return Ok(Some(tokens));
            }
            let at = self.at;
            let token = self.token()?;
            tokens.push(Placed { token, at });
        }
    }

    fn token(&mut self) -> Result<Token, TemplateError> {
        let rest = &self.source[self.at..];
        let Some(first) = rest.chars().next() else { return Err(self.error("unclosed action")) };
        let name =
            |text: &str| text.find(|c: char| !c.is_alphanumeric() && c != '_').map_or(text.len(), |end| end);
        let (token, length) = match first {
            c if c.is_whitespace() => (Token::Space, rest.len() - rest.trim_start().len()),
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '|' => (Token::Bar, 1),
            ',' => (Token::Comma, 1),
            ':' if rest.starts_with(":=") => (Token::Declare, 2),
            '=' => (Token::Declare, 1),
            '.' => match name(&rest[1..]) {
                0 => (Token::Dot, 1),
                length => (Token::Field(rest[1..=length].to_owned()), 1 + length),
            },
            '$' => {
                let length = 1 + name(&rest[1..]);
                (Token::Variable(rest[..length].to_owned()), length)
            }
            '`' => match rest[1..].find('`') {
                Some(end) => (literal(&rest[1..=end], &rest[..end + 2]), end + 2),
                None => return Err(self.error("unterminated raw quoted string")),
            },
            '"' => self.quoted(rest)?,
            c if c.is_ascii_digit() || c == '-' || c == '+' => self.number(rest)?,
            c if c.is_alphabetic() || c == '_' => {
                let length = name(rest);
                (Token::Word(rest[..length].to_owned()), length)
            }
            '\'' => self.character(rest)?,
            other => return Err(self.error(&format!("unexpected \"{other}\" in operand"))),
        };
        self.at += length;
        if matches!(token, Token::Field(_) | Token::Variable(_) | Token::Word(_)) {
            self.terminated()?;
        }
        Ok(token)
    }

    /// Refuses what cannot stand right behind a name.
    fn terminated(&self) -> Result<(), TemplateError> {
        let rest = &self.source[self.at..];
        match rest.chars().next() {
            Some(c) if !(c.is_whitespace() || ".,|:()=".contains(c) || rest.starts_with("}}")) => {
                Err(self.error(&format!("bad character U+{:04X} '{c}'", u32::from(c))))
            }
            _ => Ok(()),
        }
    }

    /// A character in quotes stands for its number.
    fn character(&self, rest: &str) -> Result<(Token, usize), TemplateError> {
        let mut chars = rest.chars().skip(1);
        match (chars.next(), chars.next()) {
            (Some(c), Some('\'')) if c != '\'' && c != '\\' => {
                let length = c.len_utf8() + 2;
                Ok((Token::Literal(u32::from(c).into(), rest[..length].to_owned()), length))
            }
            (None, _) | (_, None) => Err(self.error("unterminated character constant")),
            _ => Err(self.error(&format!("malformed character constant: {rest}"))),
        }
    }

    fn quoted(&self, rest: &str) -> Result<(Token, usize), TemplateError> {
        let mut text = String::new();
        let mut chars = rest.char_indices().skip(1);
        while let Some((index, c)) = chars.next() {
            match c {
                '"' => return Ok((literal(&text, &rest[..=index]), index + 1)),
                '\n' => break,
                '\\' => match chars.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, 'r')) => text.push('\r'),
                    Some((_, c @ ('"' | '\\' | '\''))) => text.push(c),
                    _ => return Err(self.error("invalid syntax")),
                },
                c => text.push(c),
            }
        }
        Err(self.error("unterminated quoted string"))
    }

    fn number(&self, rest: &str) -> Result<(Token, usize), TemplateError> {
        let end = rest[1..]
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '.')
            .map_or(rest.len(), |end| end + 1);
        let text = &rest[..end];
        let number = match (text.strip_prefix("0x"), text.parse::<i64>()) {
            (Some(digits), _) => i64::from_str_radix(digits, 16).ok().map(Number::from),
            (None, Ok(number)) => Some(Number::from(number)),
            (None, Err(_)) => text.parse().ok().and_then(Number::from_f64),
        };
        match number {
            Some(number) => Ok((Token::Literal(Value::Number(number), text.to_owned()), end)),
            None => Err(self.error(&format!("bad number syntax: {text:?}"))),
        }
    }

    fn statement(&mut self, tokens: Vec<Placed>) -> Result<Statement, TemplateError> {
        let mut tokens = tokens;
        trim(&mut tokens);
        let keyword = match tokens.first() {
            Some(Placed { token: Token::Word(word), .. }) => word.clone(),
            _ => String::new(),
        };
        match keyword.as_str() {
            "end" => return Ok(Statement::End),
            "else" => {
                tokens.remove(0);
                trim(&mut tokens);
                return Ok(Statement::Else(tokens));
            }
            "if" | "with" | "range" => {}
            _ => {
                let (names, pipe) = self.declaration(&tokens, "command")?;
                return Ok(Statement::Node(match names.into_iter().next() {
                    Some(name) => Node::Set(name, pipe),
                    None => Node::Print(pipe),
                }));
            }
        }
        tokens.remove(0);
        self.block(&keyword, &tokens).map(Statement::Node)
    }

    fn block(&mut self, keyword: &str, head: &[Placed]) -> Result<Node, TemplateError> {
        let scope = self.variables.len();
        let (names, pipe) = self.declaration(head, keyword)?;
        let (body, end) = self.nodes()?;
        let otherwise = match end {
            End::Eof => return Err(self.error("unexpected EOF")),
            End::Word => Vec::new(),
            End::Else(rest) if rest.is_empty() => match self.nodes()? {
                (nodes, End::Word) => nodes,
                (_, End::Eof) => return Err(self.error("unexpected EOF")),
                (_, End::Else(_)) => return Err(self.error("expected end; found {{else}}")),
            },
            End::Else(mut rest) => {
                let again = matches!(&rest[0].token, Token::Word(word) if word == keyword);
                if !again || keyword == "range" {
                    return Err(self.error("unexpected token in else"));
                }
                rest.remove(0);
                vec![self.block(keyword, &rest)?]
            }
        };
        self.variables.truncate(scope);
        Ok(match keyword {
            "range" => Node::Range(names, pipe, body, otherwise),
            "if" => Node::If(names.into_iter().next(), pipe, body, otherwise),
            _ => Node::With(names.into_iter().next(), pipe, body, otherwise),
        })
    }

    /// `$a, $b := pipeline`, or a pipeline.
    fn declaration(
        &mut self,
        tokens: &[Placed],
        context: &str,
    ) -> Result<(Vec<String>, Pipe), TemplateError> {
        let Some(declare) = tokens.iter().position(|placed| placed.token == Token::Declare) else {
            return Ok((Vec::new(), self.pipe(tokens, context)?));
        };
        let mut names = Vec::new();
        for placed in &tokens[..declare] {
            match &placed.token {
                Token::Variable(name) => names.push(name.clone()),
                Token::Space | Token::Comma => {}
                _ => return Err(self.error("unexpected \":=\" in operand")),
            }
        }
        let pipe = self.pipe(&tokens[declare + 1..], context)?;
        self.variables.extend(names.iter().cloned());
        Ok((names, pipe))
    }

    /// `context` is what the pipeline belongs to, for an error.
    fn pipe(&self, tokens: &[Placed], context: &str) -> Result<Pipe, TemplateError> {
        let mut commands = Vec::new();
        let (mut depth, mut start) = (0_usize, 0);
        for (index, placed) in tokens.iter().enumerate() {
            match placed.token {
                Token::Open => depth += 1,
                Token::Close if depth == 0 => return Err(self.error("unexpected right paren")),
                Token::Close => depth -= 1,
                Token::Bar if depth == 0 => {
                    if is_blank(&tokens[start..index]) {
                        return Err(self.error("unexpected \"|\" in command"));
                    }
                    commands.push(self.call(&tokens[start..index])?);
                    start = index + 1;
                }
                _ => {}
            }
        }
        if depth > 0 {
            return Err(self.error("unclosed left paren"));
        }
        // Go takes a bar with nothing behind it.
        match (is_blank(&tokens[start..]), commands.is_empty()) {
            (true, true) => return Err(self.error(&format!("missing value for {context}"))),
            (true, false) => {}
            (false, _) => commands.push(self.call(&tokens[start..])?),
        }
        Ok(Pipe { commands })
    }

    fn call(&self, tokens: &[Placed]) -> Result<Call, TemplateError> {
        let mut words: Vec<Operand> = Vec::new();
        let (mut index, mut joined) = (0, false);
        while let Some(placed) = tokens.get(index) {
            index += 1;
            let what = match &placed.token {
                Token::Space => {
                    joined = false;
                    continue;
                }
                Token::Field(name) if joined => {
                    if let Some(last) = words.last_mut() {
                        if last.fields.len() <= 1 {
                            (last.line, last.column) = self.place(placed.at);
                        }
                        last.fields.push(name.clone());
                        last.text.push('.');
                        last.text.push_str(name);
                    }
                    continue;
                }
                Token::Field(_) | Token::Dot => What::Dot,
                Token::Variable(name) if self.variables.contains(name) => What::Variable(name.clone()),
                Token::Variable(name) => {
                    return Err(self.error(&format!("undefined variable {name:?}")));
                }
                Token::Literal(value, _) => What::Literal(value.clone()),
                Token::Word(word) => match word.as_str() {
                    "true" => What::Literal(Value::Bool(true)),
                    "false" => What::Literal(Value::Bool(false)),
                    "nil" => What::Literal(Value::Null),
                    name if functions::exists(name) => What::Function(name.to_owned()),
                    name => return Err(self.error(&format!("function {name:?} not defined"))),
                },
                Token::Open => {
                    let length = closing(&tokens[index..]);
                    let pipe = self.pipe(&tokens[index..index + length], "parenthesized pipeline")?;
                    index += length + 1;
                    What::Pipe(pipe)
                }
                Token::Close | Token::Bar | Token::Comma | Token::Declare => {
                    return Err(self.error("unexpected token in operand"));
                }
            };
            let fields = match &placed.token {
                Token::Field(name) => vec![name.clone()],
                _ => Vec::new(),
            };
            let (line, column) = self.place(placed.at);
            joined = true;
            words.push(Operand { what, fields, line, column, text: self.written(tokens, placed.at, index) });
        }
        Ok(Call { words })
    }

    /// The source from `at` to the token at `index`.
    fn written(&self, tokens: &[Placed], at: usize, index: usize) -> String {
        let end = tokens.get(index).map(|next| next.at);
        let text = match end {
            Some(end) => &self.source[at..end],
            None => {
                let rest = &self.source[at..];
                &rest[..rest.find("}}").unwrap_or(rest.len())]
            }
        };
        text.trim_end().trim_end_matches(" -").to_owned()
    }
}

enum Statement {
    Node(Node),
    End,
    Else(Vec<Placed>),
}

fn literal(text: &str, written: &str) -> Token {
    Token::Literal(Value::String(text.to_owned()), written.to_owned())
}

fn is_blank(tokens: &[Placed]) -> bool {
    tokens.iter().all(|placed| placed.token == Token::Space)
}

fn trim(tokens: &mut Vec<Placed>) {
    while tokens.first().is_some_and(|placed| placed.token == Token::Space) {
        tokens.remove(0);
    }
    while tokens.last().is_some_and(|placed| placed.token == Token::Space) {
        tokens.pop();
    }
}

/// The number of tokens before the parenthesis that closes.
fn closing(tokens: &[Placed]) -> usize {
    let mut depth = 0_usize;
    for (index, placed) in tokens.iter().enumerate() {
        match placed.token {
            Token::Open => depth += 1,
            Token::Close if depth == 0 => return index,
            Token::Close => depth -= 1,
            _ => {}
        }
    }
    tokens.len()
}
