//! Tokens to the syntax tree.

use std::collections::HashMap;

use super::Refusal;
use super::lexer::{Lexeme, Token, lex};
use super::syntax::{Function, Instruction, Module, Operand, Space, Statement, Variable, Width};

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
        let number = integer(word).ok_or_else(|| Refusal::new(line, format!("{word} is not a number")))?;
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

    fn function(&mut self, entry: bool, line: u32) -> Result<Function, Refusal> {
        self.scopes = vec![HashMap::new()];
        let returns = if !entry && self.eat('(') { self.params()? } else { Vec::new() };
        let name = self.word()?.to_owned();
        let params = if self.eat('(') { self.params()? } else { Vec::new() };
        let mut function = Function {
            name,
            line,
            entry,
            defined: false,
            returns,
            params,
            max_threads: None,
            registers: Vec::new(),
            variables: Vec::new(),
            body: Vec::new(),
        };
        loop {
            match self.peek() {
                Some(Token::Word(".maxntid" | ".reqntid")) => {
                    self.at += 1;
                    let mut threads: u32 = self.count()?;
                    while self.eat(',') {
                        threads = threads.saturating_mul(self.count()?);
                    }
                    function.max_threads = Some(threads);
                }
                Some(Token::Word(".minnctapersm" | ".maxnctapersm" | ".maxnreg")) => {
                    self.at += 1;
                    self.integer()?;
                }
                Some(Token::Word(".noreturn")) => self.at += 1,
                Some(Token::Mark(';')) => {
                    self.at += 1;
                    return Ok(function);
                }
                Some(Token::Mark('{')) => {
                    self.at += 1;
                    break;
                }
                other => return self.refuse(format!("a body expected, found {other:?}")),
            }
        }
        function.defined = true;
        self.body(&mut function)?;
        Ok(function)
    }

    fn params(&mut self) -> Result<Vec<Variable>, Refusal> {
        let mut found = Vec::new();
        while !self.eat(')') {
            if !self.eat_word(".param") {
                return self.refuse("parameters that are not in .param");
            }
            let param = self.variables(".param", false)?;
            found.extend(param);
            self.eat(',');
        }
        Ok(found)
    }

    fn body(&mut self, function: &mut Function) -> Result<(), Refusal> {
        loop {
            let line = self.line();
            match self.peek() {
                None => return self.refuse("a body without an end"),
                Some(Token::Mark('{')) => {
                    self.at += 1;
                    self.scopes.push(HashMap::new());
                }
                Some(Token::Mark('}')) => {
                    self.at += 1;
                    self.scopes.pop();
                    if self.scopes.is_empty() {
                        return Ok(());
                    }
                }
                Some(Token::Mark(';')) => self.at += 1,
                Some(Token::Mark('@')) => {
                    self.at += 1;
                    let negated = self.eat('!');
                    let Operand::Register(register) = self.operand()? else {
                        return Err(Refusal::new(line, "a guard that is not a register"));
                    };
                    self.instruction(function, line, Some((register, negated)))?;
                }
                Some(Token::Word(".reg")) => {
                    self.at += 1;
                    self.registers(function)?;
                }
                Some(Token::Word(space @ (".local" | ".shared" | ".param"))) => {
                    self.at += 1;
                    self.scoped_variables(function, space)?;
                }
                Some(Token::Word(".pragma")) => {
                    self.at += 2;
                    self.expect(';')?;
                }
                Some(Token::Word(label)) if self.next_is(':') => {
                    self.at += 2;
                    if self.eat_word(".branchtargets") {
                        let mut targets = Vec::new();
                        while !self.eat(';') {
                            targets.push(self.word()?.to_owned());
                            self.eat(',');
                        }
                        function.body.push(Statement::Targets(label.to_owned(), targets));
                    } else {
                        function.body.push(Statement::Label(label.to_owned()));
                    }
                }
                Some(Token::Word(_)) => self.instruction(function, line, None)?,
                Some(other) => return self.refuse(format!("an instruction expected, found {other:?}")),
            }
        }
    }

    fn next_is(&self, mark: char) -> bool {
        self.tokens.get(self.at + 1).is_some_and(|lexeme| lexeme.token == Token::Mark(mark))
    }

    fn registers(&mut self, function: &mut Function) -> Result<(), Refusal> {
        let kind = self.word()?;
        let width = match kind {
            ".pred" => Width::Predicate,
            ".b8" | ".u8" | ".s8" | ".b16" | ".u16" | ".s16" | ".f16" => Width::Half,
            ".b32" | ".u32" | ".s32" | ".f32" => Width::Word,
            ".b64" | ".u64" | ".s64" | ".f64" => Width::Double,
            other => return self.refuse(format!("registers of type {other}")),
        };
        loop {
            let name = self.word()?.to_owned();
            let first = u32::try_from(function.registers.len()).expect("bounded by REGISTERS_MAX a line");
            let meaning = if self.eat('<') {
                let count: u32 = self.count()?;
                self.expect('>')?;
                if count > REGISTERS_MAX || function.registers.len() > REGISTERS_MAX as usize {
                    return self.refuse(format!("{count} registers"));
                }
                function.registers.extend((0..count).map(|_| width));
                Meaning::Range(first, count)
            } else {
                function.registers.push(width);
                Meaning::Register(first)
            };
            self.scopes.last_mut().expect("a body has a scope").insert(name, meaning);
            if self.eat(';') {
                return Ok(());
            }
            self.expect(',')?;
        }
    }

    fn scoped_variables(&mut self, function: &mut Function, space: &str) -> Result<(), Refusal> {
        let mut found = self.variables(space, false)?;
        if space == ".param" {
            self.expect(';')?;
        }
        for variable in &mut found {
            self.scope_count += 1;
            let name = format!("{}@{}", variable.name, self.scope_count);
            let own = std::mem::replace(&mut variable.name, name.clone());
            self.scopes.last_mut().expect("a body has a scope").insert(own, Meaning::Variable(name));
        }
        function.variables.extend(found);
        Ok(())
    }

    fn instruction(&mut self, function: &mut Function, line: u32, guard: Option<(u32, bool)>) -> Result<(), Refusal> {
        let opcode = self.word()?.to_owned();
        let mut operands = Vec::new();
        while !self.eat(';') {
            operands.push(self.operand()?);
            if !self.eat(',') && self.peek() != Some(Token::Mark(';')) && !opcode.starts_with("call") {
                return self.refuse(format!("{opcode}: ',' or ';' expected, found {:?}", self.peek()));
            }
        }
        function.body.push(Statement::Instruction(Instruction { line, guard, opcode, operands }));
        Ok(())
    }

    fn operand(&mut self) -> Result<Operand, Refusal> {
        let found = match self.peek() {
            Some(Token::Mark('[')) => {
                self.at += 1;
                let base = self.operand()?;
                let offset = if self.eat('+') { self.integer()? } else { 0 };
                self.expect(']')?;
                match base {
                    Operand::Symbol(name, addend) => {
                        Operand::Address(Box::new(Operand::Symbol(name, 0)), addend + offset)
                    }
                    base => Operand::Address(Box::new(base), offset),
                }
            }
            Some(Token::Mark(open @ ('{' | '('))) => {
                self.at += 1;
                let close = if open == '{' { '}' } else { ')' };
                let mut items = Vec::new();
                while !self.eat(close) {
                    items.push(self.operand()?);
                    self.eat(',');
                }
                Operand::List(items)
            }
            Some(Token::Mark('!')) => {
                self.at += 1;
                match self.operand()? {
                    Operand::Register(register) => Operand::Negated(register),
                    other => return self.refuse(format!("! before {other:?}")),
                }
            }
            Some(Token::Mark('-')) => Operand::Integer(self.integer()?),
            Some(Token::Word(word)) => {
                self.at += 1;
                self.named(word)?
            }
            other => return self.refuse(format!("an operand expected, found {other:?}")),
        };
        if self.eat('|') {
            return Ok(Operand::Pair(Box::new(found), Box::new(self.operand()?)));
        }
        Ok(found)
    }

    fn named(&mut self, word: &str) -> Result<Operand, Refusal> {
        if word == "_" {
            return Ok(Operand::Sink);
        }
        if word.starts_with(|first: char| first.is_ascii_digit()) {
            return number(word).ok_or_else(|| Refusal::new(self.line(), format!("{word} is not a number")));
        }
        for scope in self.scopes.iter().rev() {
            match scope.get(word) {
                Some(Meaning::Register(number)) => return Ok(Operand::Register(*number)),
                Some(Meaning::Variable(name)) => {
                    let name = name.clone();
                    return self.symbol(name);
                }
                _ => {}
            }
            let stem = word.trim_end_matches(|last: char| last.is_ascii_digit());
            if let (Some(Meaning::Range(first, count)), Ok(number)) =
                (scope.get(stem), word[stem.len()..].parse::<u32>())
                && number < *count
            {
                return Ok(Operand::Register(first + number));
            }
        }
        if word.starts_with('%') {
            return Ok(Operand::Special(word.to_owned()));
        }
        self.symbol(word.to_owned())
    }

    /// A name with an addend that may follow it.
    fn symbol(&mut self, name: String) -> Result<Operand, Refusal> {
        let addend = if self.eat('+') { self.integer()? } else { 0 };
        Ok(Operand::Symbol(name, addend))
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

fn integer(word: &str) -> Option<i64> {
    let word = word.trim_end_matches('U');
    if let Some(digits) = word.strip_prefix("0x").or(word.strip_prefix("0X")) {
        return Some(u64::from_str_radix(digits, 16).ok()?.cast_signed());
    }
    Some(word.parse::<u64>().ok()?.cast_signed())
}

fn number(word: &str) -> Option<Operand> {
    if let Some(digits) = word.strip_prefix("0f").or(word.strip_prefix("0F")) {
        return Some(Operand::Float(u32::from_str_radix(digits, 16).ok()?));
    }
    if let Some(digits) = word.strip_prefix("0d").or(word.strip_prefix("0D")) {
        return Some(Operand::Double(u64::from_str_radix(digits, 16).ok()?));
    }
    integer(word).map(Operand::Integer)
}
