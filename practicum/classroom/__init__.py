"""Courses, exercises, grading (built on the labs; the extra `classroom`)."""
