#!/usr/bin/python3
"""deploy/kubernetes: what kustomize makes of it is what Kubernetes, its operators and our programs know."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import yaml

import harness
import harness_npm
from harness_services import ROOT

SOURCE = os.path.join(ROOT, "tests", "integration", "kubernetes")
TYPES = {"gateway.networking.k8s.io/v1": "@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1",
         "keda.sh/v1alpha1": "@kubernetes-models/keda/keda.sh/v1alpha1",
         "monitoring.coreos.com/v1": "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1",
         "postgresql.cnpg.io/v1": "@kubernetes-models/cloudnative-pg/postgresql.cnpg.io/v1",
         "rabbitmq.com/v1beta1": "./rabbitmq.d.ts"}
COMPILER = ("node_modules/typescript/bin/tsc", "--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext",
            "--moduleResolution", "nodenext", "--target", "es2022")
DEPLOY = os.path.join(ROOT, "deploy", "kubernetes")
FOLDER = None


def rendered(folder):
    done = subprocess.run(["kubectl", "kustomize", folder], check=True, text=True, stdout=subprocess.PIPE)
    return list(yaml.safe_load_all(done.stdout))


def rendered_with(front):
    """The small overlay with a component that lets buyers in."""
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        with open(os.path.join(folder, "kustomization.yaml"), "w", encoding="utf-8") as sink:
            yaml.safe_dump({"resources": [os.path.relpath(os.path.join(DEPLOY, "overlays/small"), folder)],
                            "components": [os.path.relpath(os.path.join(DEPLOY, "fronts", front), folder)]}, sink)
        return rendered(folder)


def as_types(objects):
    """A file of TypeScript that compiles if each object has what its kind must, and nothing that it does not know."""
    lines = []
    for number, thing in enumerate(objects):
        source = TYPES.get(thing["apiVersion"], f"kubernetes-models/{thing['apiVersion']}")
        lines.append(f"import type {{ I{thing['kind']} as Kind{number} }} from '{source}';\n"
                     f"export const thing{number}: Kind{number} = {json.dumps(thing)};\n")
    return "".join(lines)


def complaints(name, objects):
    """What the compiler says."""
    path = os.path.join(FOLDER, f"{name}.ts")
    with open(path, "w", encoding="utf-8") as source:
        source.write(as_types(objects))
    done = subprocess.run(["node", *COMPILER, path], cwd=FOLDER, check=False, text=True, stdout=subprocess.PIPE)
    return [line for line in done.stdout.splitlines() if "error" in line]


class Kubernetes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.overlays = {name: rendered(os.path.join(DEPLOY, "overlays", name)) for name in ("small", "ha")}

    def each(self, kind):
        for name, objects in self.overlays.items():
            for thing in objects:
                if thing["kind"] == kind:
                    yield name, thing

    def test_each_object_is_as_its_kind_wants_it(self):
        for name, objects in self.overlays.items():
            self.assertEqual(complaints(name, objects), [])

    def test_buyers_come_by_a_gateway_or_an_ingress(self):
        """By path, to Services that there are, with the same paths in both; a balancer that is slow to notice is waited for."""
        paths = {}
        for front, kind in (("gateway", "HTTPRoute"), ("alb", "Ingress")):
            objects = rendered_with(front)
            self.assertEqual(complaints(front, objects), [])
            services = {thing["metadata"]["name"] for thing in objects if thing["kind"] == "Service"}
            (route,) = [thing for thing in objects if thing["kind"] == kind]
            if kind == "Ingress":
                found = [(path["path"], path["backend"]["service"]["name"])
                         for path in route["spec"]["rules"][0]["http"]["paths"]]
            else:
                found = [(match["path"]["value"], rule["backendRefs"][0]["name"])
                         for rule in route["spec"]["rules"] for match in rule["matches"]]
            self.assertLessEqual({service for _, service in found}, services)
            paths[front] = sorted(found)
        self.assertEqual(paths["gateway"], paths["alb"])
        delays = {thing["metadata"]["name"]: entry["value"] for thing in objects if thing["kind"] == "Deployment"
                  for entry in thing["spec"]["template"]["spec"]["containers"][0]["env"] if entry["name"] == "CHECKOUT_DRAIN_DELAY"}
        self.assertEqual(delays, {"producer": "15s", "notifier": "15s"})

    def test_a_wrong_one_is_told(self):
        objects = [dict(thing) for thing in self.overlays["ha"]]
        for thing in objects:
            if thing["kind"] in ("PodDisruptionBudget", "RabbitmqCluster", "ScaledObject", "Cluster", "ServiceMonitor"):
                thing["spec"] = {**thing["spec"], "colour": "red"}
        wrong = sum("colour" in thing.get("spec", {}) for thing in objects)
        self.assertGreaterEqual(wrong, 7)
        self.assertEqual(len(complaints("wrong", objects)), wrong)

    def test_each_program_knows_its_settings(self):
        """Its settings and its secrets' places pass --check-config, with a file at each place."""
        seen = set()
        for overlay, deployment in self.each("Deployment"):
            container = deployment["spec"]["template"]["spec"]["containers"][0]
            (settings,) = [thing["data"] for name, thing in self.each("ConfigMap") if name == overlay]
            environment = {**settings, **{entry["name"]: entry["value"] for entry in container["env"]}}
            with tempfile.TemporaryDirectory() as files:
                for path in re.findall(r"/run/checkout/\w+/(\w+)", " ".join(environment.values())):
                    with open(os.path.join(files, path), "w", encoding="ascii") as secret:
                        secret.write('{"keys":[]}' if path == "console_jwks" else "0" * 64)
                    os.chmod(secret.name, 0o600)
                environment = {name: re.sub(r"^/run/checkout/\w+", files, value) for name, value in environment.items()}
                done = subprocess.run([harness.program(container["command"][0]), "--check-config"], env=environment,
                                      check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            self.assertEqual(done.returncode, 0, f"{overlay} {container['command'][0]}: {done.stdout}")
            seen.add(container["command"][0])
        self.assertEqual(len(seen), 6)

    def test_pods_can_do_little_and_reach_the_secrets_of_their_program_alone(self):
        for _, deployment in self.each("Deployment"):
            name, pod = deployment["metadata"]["name"], deployment["spec"]["template"]["spec"]
            container = pod["containers"][0]
            self.assertTrue(pod["securityContext"]["runAsNonRoot"])
            self.assertFalse(pod["automountServiceAccountToken"])
            self.assertTrue(container["securityContext"]["readOnlyRootFilesystem"])
            self.assertEqual(container["securityContext"]["capabilities"], {"drop": ["ALL"]})
            self.assertGreaterEqual(pod["terminationGracePeriodSeconds"], 60)
            (passwords,) = [volume for volume in pod["volumes"] if volume["name"] == "passwords"]
            self.assertEqual([item["key"] for item in passwords["secret"]["items"]], [name])

    def test_one_scaler_each_and_never_more_consumers_than_shards(self):
        targets = [thing["spec"]["scaleTargetRef"]["name"] for kind in ("ScaledObject", "HorizontalPodAutoscaler")
                   for _, thing in self.each(kind)]
        self.assertEqual(sorted(targets), ["consumer", "notifier", "producer"])
        ((_, scaled),) = self.each("ScaledObject")
        (shards,) = [setting["value"] for name, job in self.each("Job") if name == "ha"
                     for setting in job["spec"]["template"]["spec"]["containers"][0]["env"] if setting["name"] == "CHECKOUT_SHARDS"]
        self.assertEqual(scaled["spec"]["maxReplicaCount"], int(shards))
        for name, settings in self.each("ConfigMap"):       # reshard is refused while a program has it set
            self.assertNotIn("CHECKOUT_SHARDS", settings["data"], name)
        metric = re.search(r"checkout_\w+", scaled["spec"]["triggers"][0]["metadata"]["query"])[0]
        with open(os.path.join(ROOT, "docs", "metrics.md"), encoding="utf-8") as page:
            self.assertIn(f"| `{metric}` | gauge | shard |", page.read())


if __name__ == "__main__":
    if sys.argv[1:] != ["--classes"]:  # their names need no package
        if shutil.which("kubectl") is None:
            harness_npm.skip("there is no kubectl; with it this test runs")
        try:
            FOLDER = harness_npm.install_project(SOURCE)
        except harness_npm.NotInstalled as why:
            harness_npm.skip(why)
    harness.main()
