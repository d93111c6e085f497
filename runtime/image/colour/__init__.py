"""Colour management: ICC profiles, CICP code points and gamma to sRGB."""
