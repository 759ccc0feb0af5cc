"""The static site: the four implementations side by side, made from the repository's own files and result files.

sections    a Python file in named sections, and four of them level with each other
source      highlighted lines, and the colours of light and dark
languages   English and Chinese: what the templates say in each
pages       Markdown to HTML, links to other pages, pictures and code of the site
pairs       what a page for two frameworks shows, and where it stands
guide       the entries of docs/differences.md
measured    parity, training and benchmark results, where there are any
build       which pages there are, and the folder that they are written to
"""
