"""What is drawn on slides, pages and pictures: each module one subject, each function one SVG fragment."""
