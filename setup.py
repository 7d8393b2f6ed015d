"""What pyproject.toml cannot say: boards/ and firmware/ travel with the host tools, as files beside their code."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
SHIPPED = ("boards/*/*.toml", "firmware/*.py", "firmware/fieldpost/**/*.py", "firmware/lib/**/*.py")


class BuildWithData(build_py):
    """Puts them where host_tools.shipped looks for them in an installation; a checkout has them in place."""

    def run(self):
        """Build, and copy."""
        super().run()
        if self.editable_mode:
            return
        for pattern in SHIPPED:
            for source in sorted(ROOT.glob(pattern)):
                target = Path(self.build_lib) / "host_tools" / "_shipped" / source.relative_to(ROOT)
                self.mkpath(str(target.parent))
                self.copy_file(str(source), str(target))


setup(cmdclass={"build_py": BuildWithData})
