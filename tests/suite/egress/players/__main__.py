"""usage: players attacker | servers [resolver] [--at ADDRESS] | witness"""

import importlib
import sys

importlib.import_module(sys.argv[1]).main()
