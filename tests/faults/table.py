"""Print the results of `make faults` as a Markdown table: python tests/faults/table.py faults.xml"""

import sys
from xml.etree import ElementTree


def main() -> None:
    print("| command | kills | as promised | not as promised |\n| --- | ---: | ---: | ---: |")
    total, broken = 0, 0
    for case in ElementTree.parse(sys.argv[1]).getroot().iter("testcase"):
        properties = {each.attrib["name"]: each.attrib["value"] for each in case.iter("property")}
        if "kills" not in properties:
            continue
        kills, failed = int(properties["kills"]), int(properties["broken"])
        name = case.attrib["name"].partition("[")[2].rstrip("]")
        print(f"| {name} | {kills} | {kills - failed} | {failed} |")
        total, broken = total + kills, broken + failed
    print(f"| total | {total} | {total - broken} | {broken} |")


if __name__ == "__main__":
    main()
