"""Live pictures of a pool with controls. The only room that imports ipywidgets; imported when a panel is asked for.

    drawing    HTML as text: palette, escaping, lines, tables       charts    slots, curves, bars
    panel      what every panel is: picture, controls, life         controls  buttons and sliders beside a running cell
    ticker     the thread behind a panel

    occupancy  the panel of `%pgmonkey panel`: its buttons
      watch    gathers the facts of a pool and remembers            backends  what the server says of them
      facts    a moment as a value, and the memory of moments       alarms    what calls for somebody
      seen     facts and memory → a frozen view                     picture   the view as HTML and as text

    tuner/     the panel of `%pgmonkey tune`                        lab/      of `%pgmonkey lab`: loads and lessons

To build another panel: a frozen view made by a pure function, as in `seen`; a function that draws it, as in `picture`;
and a subclass of `Panel` that gathers, draws, and has the controls. `notebook/showing.py` displays any of them.
"""
