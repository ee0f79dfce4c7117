"""The panel of `%pgmonkey lab`: a load of one's own beside what theory predicts for it, and the twelve lessons.

wanted      a load as the controls say it, presets, what is to be expected of it; pure
experiment  carries out one load or lesson at a time, and tells what it has seen; no widgets
seen        facts of a load → a frozen view; pure           lesson_seen    the same of a lesson
explained   what each lesson is about, what to try next     waits          drawings of waits and ranges
picture     the views as HTML and as text                   form, panel    the controls, and all of it together
"""
