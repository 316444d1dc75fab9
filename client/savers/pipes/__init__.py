"""Frames into pipes and devices, for another program to read: as JPEGs, or as bare pixels."""

from .forms import FORMS, Form, form_for
from .saver import PIPE, DeviceSaver, PipeSaver, refuse_terminal

__all__ = ["FORMS", "PIPE", "DeviceSaver", "Form", "PipeSaver", "form_for", "refuse_terminal"]
