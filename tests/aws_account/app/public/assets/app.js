export default "an asset"
