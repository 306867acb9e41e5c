// igv.js over signed addresses: each is asked for when it is used, so that none has run out (igv.js calls the functions).
const place = document.getElementById("reads");
const igv = (await import(place.dataset.igv)).default;

async function linked(track) {
  const asked = new URLSearchParams({ path: track.path });
  const answer = await fetch(`${track.links}?${asked}`, { headers: { "X-Project-ID": place.dataset.project } });
  if (!answer.ok) throw new Error((await answer.json()).detail);
  return (await answer.json()).items[0];
}

const tracks = JSON.parse(place.dataset.tracks).map((track) => ({
  name: track.name, type: track.type, format: track.format, height: track.type === "alignment" ? 320 : 60,
  url: async () => (await linked(track)).url,
  indexURL: async () => (await linked(track)).index,
}));

const own = JSON.parse(place.dataset.reference);
const inProject = (address) => `${address}?project=${encodeURIComponent(place.dataset.project)}`;
const reference = own.fastaURL
  ? { id: own.name, ...Object.fromEntries(Object.entries(own).map(([name, value]) => [name, name.endsWith("URL") ? inProject(value) : value])) }
  : { id: "contigs", name: "Contigs of the VCF", format: "chromsizes", fastaURL: place.dataset.contigs };

try {
  await igv.createBrowser(place, {
    loadDefaultGenomes: false, search: false, locus: place.dataset.locus || undefined, tracks,
    reference: { ...reference, wholeGenomeView: false },
  });
  place.dataset.state = "drawn";
} catch (error) {
  place.dataset.state = "failed";
  place.textContent = `The reads cannot be shown: ${error.message}`;
}
