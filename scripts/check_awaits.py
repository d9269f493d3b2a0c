#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One await per statement, standing alone: what GCC 12 compiles wrongly is refused before it is compiled.

The four shapes that are permitted, alone or as the body of an if, else, for, while or case:

    co_await f(a, std::move(b));
    auto x = co_await f(a, std::move(b));
    x = co_await f(a, std::move(b));
    co_return co_await f(a, std::move(b));

Everything else that holds a co_await is refused, over any number of lines: a second one, conditions (PR 106188),
?: && || (PR 102217), braces and lambdas among the arguments (PR 98401, 103871), structured bindings (PR 124584), further
operators. So are lambdas that are coroutines: what they capture dies before they do (C++ Core Guidelines CP.51).

Usage: check_awaits.py [ROOT]     prints "file:line: what" for each violation in ROOT's src/ and test/; exit code 1 then
       check_awaits.py --self-test
"""
import pathlib
import re
import sys

TOKEN = re.compile(
    r"""
    (?P<skip>
        //[^\n]* | /\*.*?\*/                              # comments
      | ^[ \t]*\#(?:[^\n\\]|\\.)*                         # preprocessor directives
      | \s+ )
  | (?P<literal>
        (?:u8|[uUL])?R"(?P<delimiter>[^()\s\\]*)\(.*?\)(?P=delimiter)"
      | (?:u8|[uUL])?"(?:[^"\\\n]|\\.)*"
      | (?:u8|[uUL])?'(?:[^'\\\n]|\\.)+'
      | \.?\d(?:'?[\w.]|(?<=[eEpP])[+-])* )
  | (?P<word>[A-Za-z_]\w*)
  | (?P<sign>::|->|&&|\|\||==|!=|<=|>=|[-+*/%&|^]=|\+\+|--|.)
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE)

OPENING = {")": "(", "]": "[", "}": "{"}
CLOSING = {"(": ")", "[": "]", "{": "}"}
COROUTINE = {"co_await", "co_return", "co_yield"}
# Words after which '[' begins a lambda; after any other word it is a subscript.
BEFORE_LAMBDA = {"return", "co_return", "co_await", "co_yield", "case", "else", "throw"}
# Words that never stand in front of '=' in the two shapes that have one.
NOT_A_TARGET = {"return", "throw", "new", "delete", "co_yield", "goto", "using"} | COROUTINE
IN_NAMES = {"::", "<", ">", ".", "->", "*", "&"}
REFUSED = {"{": "braces", "[": "a lambda or subscript", "?": "?:", "&&": "&&", "||": "||"}


class Token:
    __slots__ = ("text", "line", "is_word")

    def __init__(self, text, line, is_word):
        self.text, self.line, self.is_word = text, line, is_word


def tokens_of(text):
    """Words, signs and literals (a literal's text is one quote, so that nothing in it counts)."""
    tokens, line, place = [], 1, 0
    for match in TOKEN.finditer(text):
        line += text.count("\n", place, match.start())
        place = match.start()
        if match.lastgroup == "skip":
            continue
        is_word = match.group("word") is not None
        tokens.append(Token("'" if match.group("literal") else match.group(), line, is_word))
    return tokens


def partners_of(tokens):
    """For each bracket the index of its partner."""
    partners, stack = {}, []
    for index, token in enumerate(tokens):
        if token.text in CLOSING:
            stack.append(index)
        elif token.text in OPENING and stack:
            partners[index] = stack.pop()
            partners[partners[index]] = index
    return partners


def before(tokens, partners, index):
    """The texts between the statement's begin and `index`, brackets as one "()" or "[]"; None inside brackets."""
    texts = []
    index -= 1
    while index >= 0 and tokens[index].text not in (";", "{", "}"):
        text = tokens[index].text
        if text in ("(", "["):
            return None
        if text in (")", "]"):
            text = OPENING[text] + text
            index = partners.get(index, 0)
        texts.append(text)
        index -= 1
    return texts[::-1]


def without_controls(texts):
    """Drops labels and what makes the await the body of an if or a loop."""
    while texts:
        if texts[0] in ("else", "do"):
            texts = texts[1:]
        elif texts[0] in ("if", "for", "while", "switch") and "()" in texts[:3]:
            texts = texts[texts.index("()") + 1:]
        elif texts[0] in ("case", "default", "public", "private", "protected") and ":" in texts:
            texts = texts[texts.index(":") + 1:]
        else:
            return texts
    return texts


def is_target(texts):
    """Whether the texts are "x" or "TYPE x": names, templates, pointers; no calls, no subscripts, no commas outside <>."""
    depth = 0
    for text in texts:
        if text in ("<", ">"):
            depth += 1 if text == "<" else -1
        elif text == "," and depth > 0:
            continue
        elif text in NOT_A_TARGET or not (text in IN_NAMES or re.fullmatch(r"\w+", text)):
            return False
    return bool(texts)


def await_problem(tokens, partners, index):
    texts = before(tokens, partners, index)
    if texts is None:
        return "co_await inside parentheses"
    texts = without_controls(texts)
    if texts and texts != ["co_return"] and not (texts[-1] == "=" and is_target(texts[:-1])):
        return f"co_await after \"{' '.join(texts)}\""
    depth, angles = 0, 0
    for token in tokens[index + 1:]:
        text = token.text
        if text == ";" and depth == 0:
            return None
        if text == "co_await":
            return "a second co_await in one statement"
        if text in REFUSED:
            return f"co_await with {REFUSED[text]} in its statement"
        if text == "(":
            depth += 1
        elif text in OPENING:
            depth -= 1
            if depth < 0:
                return "co_await inside braces"
        elif depth == 0 and text in ("<", ">"):
            angles += 1 if text == "<" else -1
        elif depth == 0 and not token.is_word and text not in IN_NAMES and not (text == "," and angles > 0):
            return f"co_await with \"{text}\" in its statement"
    return "co_await in a statement without an end"


def lambda_body(tokens, partners, index):
    """Begin and end of the body where the bracket at `index` begins a lambda; None where it doesn't."""
    last = tokens[index - 1] if index > 0 else None
    if last and (last.text in (")", "]", "[", "'") or (last.is_word and last.text not in BEFORE_LAMBDA)):
        return None
    place = partners.get(index, len(tokens)) + 1
    while place < len(tokens) and tokens[place].text != "{":
        text = tokens[place].text
        if text in ("(", "["):
            place = partners.get(place, len(tokens))
        elif not tokens[place].is_word and text not in IN_NAMES and text not in (",", "&&"):
            return None
        place += 1
    return (place, partners[place]) if place in partners else None


def violations_in(text):
    """(line, problem) pairs."""
    if not any(word in text for word in COROUTINE):
        return []
    tokens = tokens_of(text)
    partners = partners_of(tokens)
    found = []
    for index, token in enumerate(tokens):
        if token.text == "co_await":
            problem = await_problem(tokens, partners, index)
            if problem:
                found.append((token.line, problem))
        elif token.text == "[":
            body = lambda_body(tokens, partners, index)
            if body and any(t.text in COROUTINE for t in tokens[body[0]:body[1]]):
                found.append((token.line, "a lambda that is a coroutine"))
    return found


def violations(root):
    found = []
    for folder in ("src", "test"):
        for file in sorted((root / folder).rglob("*")):
            if file.suffix in (".h", ".cc"):
                path = file.relative_to(root).as_posix()
                found += [f"{path}:{line}: {problem}" for line, problem in violations_in(file.read_text())]
    return found


PERMITTED = r"""
Task<> f(int a) {
  co_await g();
  co_await g(a, std::move(b), x.y(), 1'000'000, 'x', "a ? b : {c}");
  auto x = co_await g(a);
  const std::map<int, std::string>& y = co_await table_->lookup<int, char>(a);
  std::unique_ptr<int> z = co_await std::move(task);
  x = co_await g(a); this->x = co_await object.member(a); *pointer = co_await g();
  if (a && b[2]) co_await g();
  if (a) { co_await g(); } else co_await g();
  if (!done) done = co_await g(a,
                               b);
  for (int i = 0; i < n; ++i) co_await g();
  for (;;) co_await g();
  while (f(x) ? a : b) { co_await g(); }
  do co_await g(); while (true);
  switch (a) { case 1: co_await g(); break; default: x = co_await g(); }
  T t{1, 2};
  co_await g();  // co_await (c ? a : b)
  /* co_await {1} */ auto s = R"(co_await { ? && )"; auto u = R"-(co_await [)")-";
  run([&] { return 1; }, [](int i) -> int { return i; });
  auto [m, n] = pair; table[co] = 1; int array[] = {1, 2};
  co_return co_await g(a);
}
#define AWAIT(x) if (co_await x) \
    co_await y ? a : b
"""

# Text inside a function, what is said about it, and in which of its lines.
REFUSALS = [
    ("co_await (c ? g() : h());", "co_await with ?: in its statement", 1),
    ("co_await g(c\n ? 1\n : 2);", "co_await with ?: in its statement", 1),
    ("auto x = a && co_await g();", 'co_await after "auto x = a &&"', 1),
    ("auto x = co_await g()\n    || b;", "co_await with || in its statement", 1),
    ("auto x = co_await g() && b;", "co_await with && in its statement", 1),
    ("if (co_await g()) h();", "co_await inside parentheses", 1),
    ("x();\nif (a &&\n    co_await g()) {\n}", "co_await inside parentheses", 3),
    ("while (co_await g()) {}", "co_await inside parentheses", 1),
    ("switch (co_await g()) {}", "co_await inside parentheses", 1),
    ("for (auto x : co_await g()) {}", "co_await inside parentheses", 1),
    ("h(co_await g());", "co_await inside parentheses", 1),
    ("(co_await g()).h();", "co_await inside parentheses", 1),
    ("T{co_await g()};", "co_await inside braces", 1),
    ("co_await g(T{1});", "co_await with braces in its statement", 1),
    ("co_await g(\n    a,\n    {1, 2});", "co_await with braces in its statement", 1),
    ("co_await g([&] { return 1; });", "co_await with a lambda or subscript in its statement", 1),
    ("co_await g(a[1]);", "co_await with a lambda or subscript in its statement", 1),
    ("co_await g(co_await h());", "a second co_await in one statement", 1),
    ("auto [a, b] = co_await g();", 'co_await after "auto [] ="', 1),
    ("auto& [a, b] = co_await g();", 'co_await after "auto & [] ="', 1),
    ("a[1] = co_await g();", 'co_await after "a [] ="', 1),
    ("h() = co_await g();", 'co_await after "h () ="', 1),
    ("x += co_await g();", 'co_await after "x +="', 1),
    ("x = y = co_await g();", 'co_await after "x = y ="', 1),
    ("x = !co_await g();", 'co_await after "x = !"', 1),
    ("auto x = co_await g() + 1;", 'co_await with "+" in its statement', 1),
    ("auto x = co_await g(), y = 1;", 'co_await with "," in its statement', 1),
    ("a, b = co_await g();", 'co_await after "a , b ="', 1),
    ("throw co_await g();", 'co_await after "throw"', 1),
    ("co_return co_await g() + 1;", 'co_await with "+" in its statement', 1),
    ("co_return !co_await g();", 'co_await after "co_return !"', 1),
    ("co_yield co_await g();", 'co_await after "co_yield"', 1),
    ("run([&] {\n  co_await g();\n});", "a lambda that is a coroutine", 1),
    ("auto f = [](int a) mutable -> Task<int> { co_return 1; };", "a lambda that is a coroutine", 1),
    ("h();\nauto f = [x = T{1}]\n    { if (x) { co_return; } };", "a lambda that is a coroutine", 2),
    ("return [this]() noexcept { co_yield 1; };", "a lambda that is a coroutine", 1),
    ("auto f = []<class T>(T t) -> Task<> { co_return; };", "a lambda that is a coroutine", 1),
]


def self_test():
    failures = [f"permitted, but refused: line {line}: {problem}" for line, problem in violations_in(PERMITTED)]
    for text, problem, line in REFUSALS:
        found = violations_in(f"Task<> f() {{\n{text}\n}}\n")
        if (line + 1, problem) not in found:
            failures.append(f"{text!r}: expected line {line + 1}: {problem}, found {found}")
    for failure in failures:
        print(f"check_awaits.py: self test failed: {failure}", file=sys.stderr)
    return 1 if failures else 0


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    root = pathlib.Path(arguments[0] if arguments else pathlib.Path(__file__).resolve().parent.parent)
    if not (root / "src").is_dir():
        print(f"check_awaits.py: no src/ in {root}", file=sys.stderr)
        return 1
    found = violations(root)
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
