"""The panel of `%pgmonkey tune`: settings of a running pool, what a change would do, and what it has done.

proposal  facts → a frozen view: each setting now and new, what changes when, what is refused; pure
picture   the view as HTML and as text
dials     positions of a slider ↔ values; pure          form      the sliders, boxes and buttons
outlook   what other sizes would make of the load       errand    a question that is asked in the background
panel     all of it together
"""
