//! Tokens to the syntax tree.

mod function;
mod operand;

use std::collections::HashMap;

use super::Refusal;
use super::lexer::{Lexeme, Token, lex};
use super::syntax::{Module, Operand, Space, Variable};

/// Registers that one `.reg` line may declare.
const REGISTERS_MAX: u32 = 1 << 20;

/// Largest variable, in bytes.
const VARIABLE_MAX: u64 = 1 << 30;

/// Reads a module.
///
/// # Errors
/// The first line that is not understood.
pub(crate) fn parse(text: &str) -> Result<Module, Refusal> {
    let tokens = lex(text)?;
    let mut parser = Parser { tokens: &tokens, at: 0, scopes: Vec::new(), scope_count: 0 };
    parser.module()
}

/// What a name means within a scope of a function.
#[derive(Clone)]
enum Meaning {
    Register(u32),
    /// `%r<9>`: the number of `%r0` and how many there are.
    Range(u32, u32),
    /// A variable, under a name that no other scope has.
    Variable(String),
}

struct Parser<'a> {
    tokens: &'a [Lexeme<'a>],
    at: usize,
    scopes: Vec<HashMap<String, Meaning>>,
    scope_count: u32,
}

impl<'a> Parser<'a> {
    fn line(&self) -> u32 {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(0, |lexeme| lexeme.line)
    }

    fn refuse<T>(&self, reason: impl Into<String>) -> Result<T, Refusal> {
        Err(Refusal::new(self.line(), reason))
    }

    fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.at).map(|lexeme| lexeme.token)
    }

    fn eat(&mut self, mark: char) -> bool {
        let found = self.peek() == Some(Token::Mark(mark));
        self.at += usize::from(found);
        found
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = self.peek() == Some(Token::Word(word));
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, mark: char) -> Result<(), Refusal> {
        if self.eat(mark) { Ok(()) } else { self.refuse(format!("{mark:?} expected, found {:?}", self.peek())) }
    }

    fn word(&mut self) -> Result<&'a str, Refusal> {
        match self.peek() {
            Some(Token::Word(word)) => {
                self.at += 1;
                Ok(word)
            }
            other => self.refuse(format!("a word expected, found {other:?}")),
        }
    }

    fn count<T: TryFrom<i64>>(&mut self) -> Result<T, Refusal> {
        let line = self.line();
        let number = self.integer()?;
        T::try_from(number).map_err(|_| Refusal::new(line, format!("the number {number} is out of its range")))
    }

    fn integer(&mut self) -> Result<i64, Refusal> {
        let negative = self.eat('-');
        let line = self.line();
        let word = self.word()?;
        let number = operand::integer(word).ok_or_else(|| Refusal::new(line, format!("{word} is not a number")))?;
        Ok(if negative { number.wrapping_neg() } else { number })
    }

    fn module(&mut self) -> Result<Module, Refusal> {
        let mut module = Module::default();
        while self.peek().is_some() {
            let line = self.line();
            match self.word()? {
                ".version" => module.version = version(self.word()?).ok_or_else(|| Refusal::new(line, "version"))?,
                ".target" => {
                    let word = self.word()?;
                    let digits = word.strip_prefix("sm_").unwrap_or("").trim_end_matches(['a', 'f']);
                    module.target = digits.parse().map_err(|_| Refusal::new(line, format!("target {word}")))?;
                    while self.eat(',') {
                        self.word()?;
                    }
                }
                ".address_size" => {
                    if self.integer()? != 64 {
                        return Err(Refusal::new(line, "addresses are not of 64 bits"));
                    }
                }
                ".visible" | ".weak" | ".common" => {}
                ".extern" if matches!(self.peek(), Some(Token::Word(".func"))) => {}
                ".extern" => {
                    let space = self.word()?;
                    let variables = self.variables(space, true)?;
                    module.variables.extend(variables);
                }
                space @ (".global" | ".const" | ".shared") => {
                    let variables = self.variables(space, false)?;
                    module.variables.extend(variables);
                }
                kind @ (".entry" | ".func") => {
                    let function = self.function(kind == ".entry", line)?;
                    module.functions.push(function);
                }
                ".pragma" => {
                    self.at += 1;
                    self.expect(';')?;
                }
                ".section" => self.skip_block()?,
                other => return Err(Refusal::new(line, format!("{other} is not known"))),
            }
        }
        Ok(module)
    }

    fn skip_block(&mut self) -> Result<(), Refusal> {
        while !self.eat('{') {
            if self.peek().is_none() {
                return self.refuse("a section without a body");
            }
            self.at += 1;
        }
        while !self.eat('}') {
            if self.peek().is_none() {
                return self.refuse("a section without an end");
            }
            self.at += 1;
        }
        Ok(())
    }

    /// The rest of `.global .align 4 .b8 name[16] = {...}, other;`.
    fn variables(&mut self, space: &str, external: bool) -> Result<Vec<Variable>, Refusal> {
        let space = match space {
            ".global" => Space::Global,
            ".const" => Space::Const,
            ".shared" => Space::Shared,
            ".local" => Space::Local,
            ".param" => Space::Param,
            other => return self.refuse(format!("the state space {other}")),
        };
        let (mut align, mut element) = (0, None);
        while let Some(Token::Word(word)) = self.peek() {
            if !word.starts_with('.') {
                break;
            }
            self.at += 1;
            match word {
                ".align" => align = self.count::<u64>()?,
                ".ptr" | ".global" | ".const" | ".shared" | ".local" | ".visible" => {}
                ".v2" | ".v4" => return self.refuse("variables of vector type"),
                _ => element = Some(type_bytes(word).ok_or_else(|| self.unknown(word))?),
            }
        }
        let Some(element) = element else { return self.refuse("a variable without a type") };
        let mut found = Vec::new();
        loop {
            let variable = self.variable(space, align.max(element), element, external)?;
            found.push(variable);
            if space == Space::Param || !self.eat(',') {
                break;
            }
        }
        if space != Space::Param {
            self.expect(';')?;
        }
        Ok(found)
    }

    fn unknown(&self, word: &str) -> Refusal {
        Refusal::new(self.line(), format!("{word} is not known here"))
    }

    fn variable(&mut self, space: Space, align: u64, element: u64, external: bool) -> Result<Variable, Refusal> {
        let name = self.word()?.to_owned();
        let (mut count, mut dynamic) = (1_u64, false);
        while self.eat('[') {
            if self.eat(']') {
                dynamic = true;
                count = 0;
                continue;
            }
            count = count.saturating_mul(self.count()?);
            self.expect(']')?;
        }
        let size = element.saturating_mul(count);
        if size > VARIABLE_MAX || !align.is_power_of_two() {
            return self.refuse(format!("{name} has {size} bytes aligned to {align}"));
        }
        if dynamic && space != Space::Shared || external && !dynamic {
            return self.refuse(format!("{name} is defined elsewhere, and nothing is linked"));
        }
        let mut variable = Variable { name, space, align, size, initial: Vec::new(), addresses: Vec::new(), dynamic };
        if self.eat('=') {
            let whole = usize::try_from(element).expect("a type has at most 8 bytes");
            if self.eat('{') {
                while !self.eat('}') {
                    self.initial(&mut variable, whole)?;
                    self.eat(',');
                }
            } else {
                self.initial(&mut variable, whole)?;
            }
            if variable.initial.len() as u64 > size {
                return self.refuse(format!("{} has more initial values than bytes", variable.name));
            }
        }
        Ok(variable)
    }

    fn initial(&mut self, variable: &mut Variable, element: usize) -> Result<(), Refusal> {
        let bits = match self.operand()? {
            Operand::Integer(number) => number.cast_unsigned(),
            Operand::Float(bits) => u64::from(bits),
            Operand::Double(bits) => bits,
            Operand::Symbol(name, offset) if element == 8 => {
                let name = if name == "generic" && self.eat('(') {
                    let inner = self.word()?.to_owned();
                    self.expect(')')?;
                    inner
                } else {
                    name
                };
                let offset = if self.eat('+') { self.integer()? } else { offset };
                variable.addresses.push((variable.initial.len(), name, offset));
                0
            }
            other => return self.refuse(format!("the initial value {other:?}")),
        };
        variable.initial.extend(&bits.to_le_bytes()[..element]);
        Ok(())
    }
}

fn version(word: &str) -> Option<u32> {
    let (major, minor) = word.split_once('.')?;
    major.parse::<u32>().ok()?.checked_mul(10)?.checked_add(minor.parse().ok()?)
}

fn type_bytes(word: &str) -> Option<u64> {
    Some(match word {
        ".b8" | ".u8" | ".s8" => 1,
        ".b16" | ".u16" | ".s16" | ".f16" => 2,
        ".b32" | ".u32" | ".s32" | ".f32" => 4,
        ".b64" | ".u64" | ".s64" | ".f64" => 8,
        _ => return None,
    })
}
