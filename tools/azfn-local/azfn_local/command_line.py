"""The handler's arguments, as the host and .NET make them of host.json: joined, expanded, split again."""

import re


def expand_arguments(arguments, environment, split=True):
    """%NAME% is replaced; what is left between two percent signs vanishes. Then the words are split: nothing was
    quoted, so a blank inside of an argument makes two of it. With split False: the text as one."""
    text = " ".join(_expand(argument, environment) for argument in arguments)
    text = re.sub(r"%(.+?)%", "", text)
    return split_words(text) if split else text


def _expand(text, environment):
    """Known names are replaced; an unknown one is left, and its second percent sign may begin another name."""
    out, position = [], 0
    while (end := text.find("%", position + 1)) >= 0:
        if text[position] == "%" and text[position + 1:end] in environment:
            out.append(environment[text[position + 1:end]])
            position = end + 1
        else:
            out.append(text[position:end])
            position = end
    return "".join(out) + text[position:]


def split_words(text):
    """.NET's rules: blanks and tabs part words, double quotes group, backslashes count before a quote only."""
    words, index = [], 0
    while True:
        while index < len(text) and text[index] in " \t":
            index += 1
        if index == len(text):
            return words
        word, is_quoted = [], False
        while index < len(text):
            slashes = len(text[index:]) - len(text[index:].lstrip("\\"))
            index += slashes
            if slashes:
                before_quote = text[index:index + 1] == '"'
                word.append("\\" * (slashes // 2 if before_quote else slashes))
                if before_quote and slashes % 2:
                    word.append('"')
                    index += 1
                continue
            character = text[index]
            if character == '"':
                if is_quoted and text[index + 1:index + 2] == '"':
                    word.append('"')
                    index += 1
                else:
                    is_quoted = not is_quoted
            elif character in " \t" and not is_quoted:
                break
            else:
                word.append(character)
            index += 1
        words.append("".join(word))
