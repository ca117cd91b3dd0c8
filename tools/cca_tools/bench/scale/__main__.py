"""One point of a curve, in a process of its own, whose memory nothing else has touched: prints its costs as JSON."""

import json
import sys

from cca_tools.bench.scale.families import FAMILIES, Meter

family, size = sys.argv[1], int(sys.argv[2])
meter = Meter()
next(one for one in FAMILIES if one.name == family).take(meter, size)
print(json.dumps(meter.costs))
