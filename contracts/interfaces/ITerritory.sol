// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// Territories: leased space that files are charged to. Lives at 0x…ce550004.
/// One price rule: unitPrice for each GiB and day, counted to the byte and the block, rounded up to the smallest unit once a purchase.
/// What is sent beyond the price comes back in the same call. A day is four eras.
interface ITerritory {
    struct Territory {
        uint64 token;
        address owner;
        string name;
        /// Leased bytes, and those that files are charged with.
        uint64 size;
        uint64 used;
        /// Everything paid for it since it was minted.
        uint256 paid;
        uint64 start;
        /// First block in which it is frozen: no new files, everything stays readable.
        uint64 deadline;
        /// First block in which its files may be released and it cannot be reactivated any more.
        uint64 purgeFrom;
        /// 0 active, 1 frozen, 2 lapsed.
        uint8 state;
        /// What its owner asks for it, 0 if it is not on offer.
        uint256 asked;
    }

    struct Order {
        address placer;
        address receiver;
        uint64 size;
        uint32 leaseDays;
        /// Last block in which it can be paid.
        uint64 expires;
        string name;
    }

    struct Totals {
        uint64 territories;
        uint256 leased;
        uint256 used;
        /// What miners declare, and what of it and of the oversell can still be leased.
        uint256 capacity;
        uint256 available;
        /// Rent received and not passed on yet: the module's balance.
        uint256 pool;
        /// Price of a GiB for a day.
        uint256 unitPrice;
        /// Blocks of a day.
        uint64 dayBlocks;
    }

    event TerritoryMinted(uint64 indexed token, address indexed owner, string name, uint64 size, uint64 deadline, uint256 price);
    event TerritoryExpanded(uint64 indexed token, uint64 size, uint256 price);
    event TerritoryRenewed(uint64 indexed token, uint64 deadline, uint256 price);
    event TerritoryReactivated(uint64 indexed token, uint64 deadline, uint256 price);
    event TerritoryRenamed(uint64 indexed token, string name);
    event TerritoryGranted(uint64 indexed token, address indexed from, address indexed to);
    event TerritoryConsigned(uint64 indexed token, uint256 asked);
    event ConsignmentCancelled(uint64 indexed token);
    event ConsignmentBought(uint64 indexed token, address indexed seller, address indexed buyer, string name, uint256 price);
    event OrderPlaced(uint64 indexed order, address indexed receiver, address indexed placer, string name, uint64 size, uint32 leaseDays, uint64 expires);
    event OrderPaid(uint64 indexed order, uint64 indexed token, address indexed payer);
    /// A file's stored bytes were charged; used is the territory's sum after it.
    event SpaceCharged(uint64 indexed token, bytes32 indexed file, uint64 amount, uint64 used);
    /// A file's stored bytes came back.
    event SpaceFreed(uint64 indexed token, bytes32 indexed file, uint64 amount, uint64 used);
    /// The grace period is over and the last file released: the territory is gone and its space can be leased again.
    event TerritoryPurged(uint64 indexed token, address indexed owner, uint64 size);

    /// Leases size bytes for the caller. Names are 1 to 64 bytes without control characters, and an owner's differ.
    function mint(uint64 size, uint32 leaseDays, string calldata name) external payable returns (uint64 token);

    /// Adds extra bytes to an active territory for the rest of its lease.
    function expand(uint64 token, uint64 extra) external payable;

    /// Moves the deadline of an active territory.
    function renew(uint64 token, uint32 leaseDays) external payable;

    /// Makes a frozen territory active for leaseDays from now. The time it was frozen is paid for, too.
    function reactivate(uint64 token, uint32 leaseDays) external payable;

    function rename(uint64 token, string calldata name) external;

    /// Gives an active, empty territory to another account under the same name.
    function grant(uint64 token, address to) external;

    /// Offers an active, empty territory for a price. It takes no files and no other call but cancel and buy until then.
    function consign(uint64 token, uint256 asked) external;

    /// Takes the offer back.
    function cancel(uint64 token) external;

    /// Takes an offered territory under a name of the buyer's; the price goes to the seller.
    function buy(uint64 token, string calldata name) external payable;

    /// Describes a territory for receiver that anybody may pay until the order expires. Replaces the caller's open order.
    function order(address receiver, uint64 size, uint32 leaseDays, string calldata name) external returns (uint64 id);

    /// Pays an order: the receiver gets the territory.
    function pay(uint64 id) external payable returns (uint64 token);

    /// One territory. Reverts with UnknownTerritory.
    function get(uint64 token) external view returns (Territory memory);

    /// The owner's territory of that name. Reverts with UnknownName.
    function find(address owner, string calldata name) external view returns (Territory memory);

    /// Number of territories an account owns.
    function countOf(address owner) external view returns (uint64);

    /// Territories of an account in no particular order, from index skip, at most limit (and at most 100).
    function listOf(address owner, uint64 skip, uint64 limit) external view returns (Territory[] memory);

    /// The territory IFiles.store charges: of the account's first 16 in listOf that are active, not on offer and have room for
    /// needed bytes, the one with the latest deadline. Reverts with NoTerritory or TerritoryFull.
    function choose(address owner, uint64 needed) external view returns (uint64 token);

    /// An open order. Reverts with UnknownOrder.
    function getOrder(uint64 id) external view returns (Order memory);

    /// Price of size bytes for leaseDays.
    function quote(uint64 size, uint32 leaseDays) external view returns (uint256 price);

    /// Price of extra bytes for the rest of a territory's lease.
    function quoteExpand(uint64 token, uint64 extra) external view returns (uint256 price);

    /// Price of renewing an active territory or reactivating a frozen one, now.
    function quoteRenew(uint64 token, uint32 leaseDays) external view returns (uint256 price);

    function totals() external view returns (Totals memory);

    /// Number of territories that IFiles.purge would release.
    function lapsed() external view returns (uint64);

    error UnknownTerritory(uint64 token);
    error UnknownName(address owner, string name);
    error NotLeaseholder(uint64 token, address account);
    error TerritoryNameInvalid(uint256 length, uint256 maximum);
    error NameTaken(address owner, string name);
    error NotActive(uint64 token, uint64 deadline, uint64 height);
    error NotFrozen(uint64 token, uint64 deadline, uint64 purgeFrom, uint64 height);
    error OnOffer(uint64 token);
    error NotOnOffer(uint64 token);
    error OwnOffer(uint64 token);
    error AskedTooLow(uint64 token);
    error NotEmpty(uint64 token, uint64 used);
    error ReceiverInvalid(address receiver);
    error SizeTooSmall(uint64 size, uint64 minimum);
    error SoldOut(uint64 wanted, uint256 available);
    /// maximum is what may be added now.
    error LeaseInvalid(uint32 leaseDays, uint64 maximum);
    error PaymentTooLow(uint256 sent, uint256 required);
    error UnknownOrder(uint64 id);
    error OrderExpired(uint64 id, uint64 expires, uint64 height);
    error NoTerritory(address account, uint64 needed);
    error TerritoryFull(uint64 token, uint64 free, uint64 needed);
}
