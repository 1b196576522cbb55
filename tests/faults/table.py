"""Print the results of `make faults` as a Markdown table: python tests/faults/table.py faults.xml"""

import sys
from xml.etree import ElementTree


def main() -> None:
    print("| command | kills | as promised | not as promised |\n| --- | ---: | ---: | ---: |")
    total = 0
    for case in ElementTree.parse(sys.argv[1]).getroot().iter("testcase"):
        properties = {each.attrib["name"]: each.attrib["value"] for each in case.iter("property")}
        if "kills" not in properties:
            continue
        kills, failed = int(properties["kills"]), case.find("failure") is not None
        name = case.attrib["name"].partition("[")[2].rstrip("]")
        print(f"| {name} | {kills} | {kills - failed} | {int(failed)} |")
        total += kills
    print(f"| total | {total} | | |")


if __name__ == "__main__":
    main()
