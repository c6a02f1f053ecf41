#!/opt/codexflow/bin/python
"""The image's entry: runs the service that the image was built for, as `python -m <service>` would, without a shell."""

import os
import runpy

runpy.run_module(os.environ["CODEXFLOW_SERVICE"], run_name="__main__", alter_sys=True)
