//! Words of a PTX text, each with the line that it stands on.

use super::Refusal;

/// A word of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// Directive, opcode, name, register or number: letters, digits and `_ $ % .`.
    Word(&'a str),
    /// The inside of a quoted string.
    Quoted(&'a str),
    /// Any other character that is not white space.
    Mark(char),
}

/// A token and its line, counted from 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lexeme<'a> {
    pub(crate) token: Token<'a>,
    pub(crate) line: u32,
}

/// Cuts a text into tokens; comments and `.loc`/`.file` lines are dropped.
///
/// # Errors
/// A comment or a string has no end, or there is a character that PTX does not have.
pub(crate) fn lex(text: &str) -> Result<Vec<Lexeme<'_>>, Refusal> {
    let mut found = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let taken = if first == '\n' {
            line += 1;
            1
        } else if first.is_ascii_whitespace() {
            1
        } else if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            let end = rest.find("*/").ok_or_else(|| Refusal::new(line, "a comment without an end"))? + 2;
            line += newlines(&rest[..end]);
            end
        } else if first == '"' {
            let end = rest[1..].find('"').ok_or_else(|| Refusal::new(line, "a string without an end"))?;
            found.push(Lexeme { token: Token::Quoted(&rest[1..=end]), line });
            line += newlines(&rest[1..=end]);
            end + 2
        } else if is_of_word(first) {
            let end = rest.find(|next| !is_of_word(next)).unwrap_or(rest.len());
            let word = &rest[..end];
            if word == ".loc" || word == ".file" {
                rest.find('\n').unwrap_or(rest.len())
            } else {
                found.push(Lexeme { token: Token::Word(word), line });
                end
            }
        } else if first.is_ascii_punctuation() {
            found.push(Lexeme { token: Token::Mark(first), line });
            1
        } else {
            return Err(Refusal::new(line, format!("the character {first:?}")));
        };
        rest = &rest[taken..];
    }
    Ok(found)
}

fn is_of_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '$' | '%' | '.')
}

fn newlines(text: &str) -> u32 {
    text.bytes().filter(|&byte| byte == b'\n').map(|_| 1).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_marks_have_their_lines() {
        let tokens = lex("@%p1 bra $L_2; // on\n/* a\nb */ ld.param.v2.u32 {%r1, %r2}, [k+-8];").unwrap();
        let words: Vec<(Token, u32)> = tokens.iter().map(|lexeme| (lexeme.token, lexeme.line)).collect();
        assert_eq!(words[0], (Token::Mark('@'), 1));
        assert_eq!(words[3], (Token::Word("$L_2"), 1));
        assert_eq!(words[5], (Token::Word("ld.param.v2.u32"), 3));
        assert_eq!(words[words.len() - 3], (Token::Word("8"), 3));
        assert_eq!(lex("a\n/* b").unwrap_err().line, 2);
    }
}
