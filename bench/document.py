"""Documents whose figures come from JSON: what stands between two markers is made anew."""


def between(text: str, name: str, content: str) -> str:
    """The document with `content` between `<!-- name -->` and `<!-- end of name -->`."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"the document must hold {begin} and {end} once each")
    head, rest = text.split(begin)
    return f"{head}{begin}\n{content}\n{end}{rest.split(end)[1]}"
