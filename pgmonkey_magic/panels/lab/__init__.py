"""The panel of `%pgmonkey lab`: a load of one's own beside what theory predicts for it, and the twelve lessons.

wanted      a load as the controls say it, presets, what is to be expected of it; pure
experiment  carries one load or lesson out at a time, and tells what it has seen; no widgets
seen        facts → frozen views; pure                          picture    views as HTML and as text
explained   what each lesson is about, and what to try next     waits      the drawings of waits and ranges
form        the controls                                        panel      all of it together
"""
